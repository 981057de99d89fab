"""Tiny random weights of Z-Image's parts, in the folders that the nano weights have.

Random weights draw noise. They are here to compare bytes with, not to look at.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderTiny,
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    OvisImageTransformer2DModel,
    ZImageControlNetModel,
    ZImageTransformer2DModel,
)
from tokenizers import pre_tokenizers
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
DIM, HEADS, TEXT_DIM = 64, 4, 32


def save_tiny_weights(root: Path) -> Path:
    """Write all parts into `root`, which then stands for the nano folder. Takes about a second."""
    torch.manual_seed(0)
    parts = {
        "shared/tokenizer": _tokenizer(),
        "shared/text_encoder": _text_encoder(),
        "shared/vae": _vae(),
        "z-image/transformer": _transformer(),
        "z-image/scheduler": FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0),
        "z-image/controlnet": _controlnet(),
    }
    for folder, part in parts.items():
        part.save_pretrained(root / folder)
    return root


def _tokenizer() -> Qwen2Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Qwen2Tokenizer(
        vocab={letter: index for index, letter in enumerate(alphabet)},
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=131072,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL_TOKENS})
    tokenizer.chat_template = TEMPLATE
    tokenizer.padding_side = "right"
    return tokenizer


def _text_encoder() -> Qwen3Model:
    return Qwen3Model(
        Qwen3Config(
            vocab_size=512,
            hidden_size=TEXT_DIM,
            intermediate_size=2 * TEXT_DIM,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
        )
    )


def _vae() -> AutoencoderTiny:
    """16-fold, 16 channels, as nano's."""
    widths = (16, 16, 16, 16, 16)
    vae = AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=(1, 1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1, 1),
        latent_channels=16,
    )
    # As they are born its layers fade what goes through them, and black hides differences.
    for layer in vae.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    last = vae.decoder.layers[-1]
    torch.nn.init.normal_(last.weight, std=0.002)
    torch.nn.init.constant_(last.bias, 0.5)
    return vae


def _transformer() -> ZImageTransformer2DModel:
    transformer = ZImageTransformer2DModel(
        in_channels=16,
        dim=DIM,
        n_layers=3,
        n_refiner_layers=1,
        n_heads=HEADS,
        n_kv_heads=HEADS,
        cap_feat_dim=TEXT_DIM,
        siglip_feat_dim=None,
        axes_dims=[8, 4, 4],
        axes_lens=[1024, 512, 512],
    )
    return _filled(transformer, "pad_token")


def _controlnet() -> ZImageControlNetModel:
    controlnet = ZImageControlNetModel(
        control_layers_places=[0, 2],
        control_refiner_layers_places=[0],
        control_in_dim=33,
        add_control_noise_refiner="control_noise_refiner",
        dim=DIM,
        n_refiner_layers=1,
        n_heads=HEADS,
        n_kv_heads=HEADS,
    )
    # They are zero at birth, and then the ControlNet does nothing.
    return _filled(controlnet, "before_proj", "after_proj")


def _filled(module: torch.nn.Module, *names: str) -> torch.nn.Module:
    """Draw the parameters whose name contains one of these; diffusers leaves them empty or zero."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if any(part in name for part in names):
                parameter.normal_(0, 0.5)
    return module


# --- Ovis-Image and klein, on the same shared parts ----------------------------------------------------


def save_tiny_ovis(root: Path) -> None:
    """Write Ovis-Image's own parts into a folder that `save_tiny_weights` has filled."""
    torch.manual_seed(1)
    transformer = OvisImageTransformer2DModel(
        in_channels=64,
        out_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=TEXT_DIM,
        axes_dims_rope=(4, 6, 6),
    )
    transformer.save_pretrained(root / "ovis" / "transformer")
    _shifting_scheduler().save_pretrained(root / "ovis" / "scheduler")


def save_tiny_klein(root: Path) -> None:
    """Write klein's own parts into a folder that `save_tiny_weights` has filled."""
    torch.manual_seed(2)
    transformer = Flux2Transformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=3 * TEXT_DIM,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    transformer.save_pretrained(root / "klein" / "transformer")
    _shifting_scheduler().save_pretrained(root / "klein" / "scheduler")


def _shifting_scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=True)
