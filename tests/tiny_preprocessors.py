"""Tiny random depth and pose models, in the folders that the nano weights have, and a person detector."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessorPil,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessorPil,
    RTDetrResNetConfig,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
)


def save_tiny_preprocessors(root: Path) -> Path:
    """Write them into `root`, which then stands for the nano folder."""
    torch.manual_seed(0)
    for name, made in {"depth": _depth(), "pose": _pose(), "person_detector": _detector()}.items():
        for part in made:
            part.save_pretrained(root / "preprocess" / name)
    return root


def _depth():
    backbone = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=70,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=32,
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )
    processor = DPTImageProcessorPil(
        do_resize=True,
        size={"height": 70, "width": 70},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        resample=3,
        do_rescale=True,
        do_normalize=True,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    model = DepthAnythingForDepthEstimation(config).eval()
    with torch.no_grad():
        # As they are born its layers fade what goes through them, and depth is cut off at zero.
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight)
        model.head.conv3.bias.fill_(50)
    return model, processor


def _pose():
    backbone = VitPoseBackboneConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=[64, 48],
        patch_size=[16, 16],
        out_features=["stage2"],
    )
    config = VitPoseConfig(
        backbone_config=backbone,
        num_labels=17,
        scale_factor=4,
        use_simple_decoder=True,
        id2label={number: str(number) for number in range(17)},
    )
    model = VitPoseForPoseEstimation(config).eval()
    with torch.no_grad():
        # Random heat is far below what counts as seen.
        model.head.conv.bias.fill_(0.9)
    return (model,)


def _detector():
    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_in_channels=[16, 16, 32],
        encoder_hidden_dim=32,
        d_model=32,
        num_queries=10,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        decoder_in_channels=[32, 32, 32],
        num_denoising=0,
        feat_strides=[8, 16, 32],
        id2label={0: "person", 1: "dog"},
        label2id={"person": 0, "dog": 1},
    )
    model = RTDetrForObjectDetection(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "class_embed" in name and name.endswith("bias"):
                parameter.fill_(-9)
    return model, RTDetrImageProcessorPil(size={"height": 64, "width": 64})
