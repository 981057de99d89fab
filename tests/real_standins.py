"""Tiny random repositories in the layout of the real ones: what the hub would have of each model.

The classes are the real ones (`AutoencoderKL`, `AutoencoderKLFlux2`, a ControlNet in a single file among its
sisters, weights in shards); only the widths are small.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import safetensors.torch
import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, Flux2Transformer2DModel, OvisImageTransformer2DModel
from transformers import Qwen3ForCausalLM

from tests import tiny_weights
from tests.tiny_preprocessors import save_tiny_preprocessors
from tests.tiny_weights import HEADS, TEXT_DIM

Z_IMAGE = "Tongyi-MAI/Z-Image-Turbo"
UNION = "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1"
OVIS = "AIDC-AI/Ovis-Image-7B"
KLEIN = "black-forest-labs/FLUX.2-klein-4B"
PREPROCESSORS = {
    "depth": "depth-anything/Depth-Anything-V2-Small-hf",
    "pose": "usyd-community/vitpose-base-simple",
    "person_detector": "PekingU/rtdetr_r50vd_coco_o365",
}
BF16 = torch.bfloat16


def save_real_standins(root: Path) -> dict[str, Path]:
    """Write every repository. Returns their folders by name. Takes some seconds."""
    torch.manual_seed(0)
    repos = {name: root / name for name in (Z_IMAGE, UNION, OVIS, KLEIN, *PREPROCESSORS.values())}
    _z_image(repos[Z_IMAGE])
    _unions(repos[UNION])
    _ovis(repos[OVIS], repos[Z_IMAGE])
    _klein(repos[KLEIN], repos[Z_IMAGE])
    preprocessors = save_tiny_preprocessors(root / "scratch")
    for name, repo in PREPROCESSORS.items():
        shutil.copytree(preprocessors / "preprocess" / name, repos[repo])
    for folder in repos.values():
        (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
        (folder / "old.bin").write_bytes(b"pickled")
    return repos


def _z_image(folder: Path) -> None:
    # Two shards and an index, as large repositories have them.
    tiny_weights._transformer().to(BF16).save_pretrained(folder / "transformer", max_shard_size="300KB")
    tiny_weights._text_encoder().to(BF16).save_pretrained(folder / "text_encoder", max_shard_size="60KB")
    tiny_weights._tokenizer().save_pretrained(folder / "tokenizer")
    tiny_weights.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0).save_pretrained(
        folder / "scheduler"
    )
    _lively(
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 16, 16),
            layers_per_block=1,
            latent_channels=16,
            norm_num_groups=4,
            use_quant_conv=False,
            use_post_quant_conv=False,
            scaling_factor=0.3611,
            shift_factor=0.1159,
        )
    ).to(BF16).save_pretrained(folder / "vae")
    (folder / "model_index.json").write_text('{"_class_name": "ZImagePipeline"}')


def _unions(folder: Path) -> None:
    """One ControlNet that is wanted, and two that are not."""
    folder.mkdir(parents=True)
    for version in ("2.1-2601-8steps", "2.1-2602-8steps", "2.1-lite-2602-8steps"):
        tensors = {name: tensor.to(BF16) for name, tensor in tiny_weights._controlnet().state_dict().items()}
        path = folder / f"Z-Image-Turbo-Fun-Controlnet-Union-{version}.safetensors"
        safetensors.torch.save_file(tensors, path)


def _ovis(folder: Path, base: Path) -> None:
    tiny_weights.torch.manual_seed(1)
    OvisImageTransformer2DModel(
        in_channels=64,
        out_channels=64,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=HEADS,
        joint_attention_dim=TEXT_DIM,
        axes_dims_rope=(4, 6, 6),
    ).to(BF16).save_pretrained(folder / "transformer")
    tiny_weights._text_encoder().to(BF16).save_pretrained(folder / "text_encoder")
    tiny_weights._shifting_scheduler().save_pretrained(folder / "scheduler")
    for part in ("tokenizer", "vae"):
        shutil.copytree(base / part, folder / part)
    (folder / "model_index.json").write_text('{"_class_name": "OvisImagePipeline"}')


def _klein(folder: Path, base: Path) -> None:
    """Its text encoder is Z-Image's, saved as a language model."""
    torch.manual_seed(2)
    Flux2Transformer2DModel(
        in_channels=32,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=HEADS,
        joint_attention_dim=3 * TEXT_DIM,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    ).to(BF16).save_pretrained(folder / "transformer")
    shutil.copytree(base / "text_encoder", folder / "text_encoder")
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    config["architectures"] = [Qwen3ForCausalLM.__name__]
    (folder / "text_encoder" / "config.json").write_text(json.dumps(config))
    _lively(
        AutoencoderKLFlux2(
            block_out_channels=(8, 8, 16, 16), layers_per_block=1, latent_channels=8, norm_num_groups=4
        )
    ).to(BF16).save_pretrained(folder / "vae")
    tiny_weights._shifting_scheduler().save_pretrained(folder / "scheduler")
    shutil.copytree(base / "tokenizer", folder / "tokenizer")
    (folder / "model_index.json").write_text('{"_class_name": "Flux2KleinPipeline", "is_distilled": true}')


def _lively(vae: torch.nn.Module) -> torch.nn.Module:
    """As they are born its layers fade what goes through them, and black hides differences."""
    for layer in vae.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return vae
