"""The models' parts at their real size with random weights, or tiny, without a file of weights.

Drawn N(0, 0.02), never zeros: a card multiplies zeros faster, and what is zero at birth would do nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    OvisImageTransformer2DModel,
)
from torch import nn
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

from safelight.engine.control import WindowedControlNet
from safelight.engine.controlnet_file import shipped
from safelight.engine.z_image_transformer import LeanTransformer
from safelight.models.base import NANO_DIR

STD = 0.02

_QWEN = {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True}
QWEN_4B = _QWEN | {
    "hidden_size": 2560,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "intermediate_size": 9728,
}
QWEN_OVIS = _QWEN | {
    "hidden_size": 2048,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "intermediate_size": 6144,
}
QWEN_TINY = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
    "tie_word_embeddings": True,
}
_VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
}
VAE = _VAE | {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
VAE_TINY = _VAE | {"block_out_channels": (8, 8, 16, 16), "layers_per_block": 1, "norm_num_groups": 4}
KLEIN = {
    "num_layers": 5,
    "num_single_layers": 20,
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "in_channels": 128,
    "joint_attention_dim": 7680,
    "mlp_ratio": 3.0,
    "guidance_embeds": False,
}
_Z_TINY = {"dim": 64, "n_refiner_layers": 2, "n_heads": 4, "n_kv_heads": 4}

Makers = Mapping[str, Any]
"""How each part is made, by its name in the model's weights."""


def makers(family: str, *, tiny: bool) -> Makers:
    """The parts of `z-image`, `ovis` or `klein`."""
    return _FAMILIES[family](tiny)


def _z_image(tiny: bool) -> Makers:
    transformer = _Z_TINY | {"n_layers": 3, "cap_feat_dim": 32, "axes_dims": [8, 4, 4]} if tiny else {}
    places = {"control_layers_places": [0, 2], "control_in_dim": 33, "control_refiner_layers_places": [0, 1]}
    control = (
        _Z_TINY | places | {"add_control_noise_refiner": "control_noise_refiner"}
        if tiny
        else shipped()["2.1"]
    )
    return {
        "transformer": lambda: LeanTransformer(**transformer),
        "controlnet": lambda: WindowedControlNet(**control),
        "text_encoder": lambda: Qwen3Model(Qwen3Config(**(QWEN_TINY if tiny else QWEN_4B))),
        "vae": lambda: AutoencoderKL(**(VAE_TINY if tiny else VAE)),
        "scheduler": lambda: FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0),
    }


def _ovis(tiny: bool) -> Makers:
    small = {
        "num_layers": 1,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "joint_attention_dim": 32,
        "axes_dims_rope": (4, 6, 6),
    }
    return {
        "transformer": lambda: OvisImageTransformer2DModel(**(small if tiny else {})),
        "text_encoder": lambda: Qwen3Model(Qwen3Config(**(QWEN_TINY if tiny else QWEN_OVIS))),
        "vae": lambda: AutoencoderKL(**(VAE_TINY if tiny else VAE)),
        "scheduler": _shifting,
    }


def _klein(tiny: bool) -> Makers:
    small = {
        "num_layers": 1,
        "num_single_layers": 2,
        "num_attention_heads": 4,
        "attention_head_dim": 16,
        "in_channels": 32,
        "joint_attention_dim": 96,
        "axes_dims_rope": (4, 4, 4, 4),
        "guidance_embeds": False,
    }
    vae = {
        "block_out_channels": (8, 8, 16, 16),
        "layers_per_block": 1,
        "latent_channels": 8,
        "norm_num_groups": 4,
    }
    return {
        "transformer": lambda: Flux2Transformer2DModel(**(small if tiny else KLEIN)),
        "text_encoder": lambda: Qwen3Model(Qwen3Config(**(QWEN_TINY if tiny else QWEN_4B))),
        "vae": lambda: AutoencoderKLFlux2(**(vae if tiny else {})),
        "scheduler": _shifting,
    }


def _shifting() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=True)


_FAMILIES = {"z-image": _z_image, "ovis": _ovis, "klein": _klein}


class RandomParts:
    """The `LoadContext` of a model whose weights are random. made: its parts, each made once."""

    vocabulary = None
    weights_name = "real"

    def __init__(self, makers: Makers, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self.made: dict[str, Any] = {}
        self._makers = makers
        self.seconds = 0.0

    def has(self, name: str) -> bool:
        """Whether there is such a part."""
        return name in self._makers

    def values(self, name: str) -> Mapping[str, Any]:
        """What klein's index says; the others have none."""
        return {"is_distilled": True}

    def part(self, name: str, kind: Any) -> Any:
        """Make a part; the tokenizer is the one that ships, whose words any encoder has."""
        if name == "tokenizer":
            return Qwen2Tokenizer.from_pretrained(NANO_DIR / "shared" / "tokenizer", local_files_only=True)
        if name not in self.made:
            started_s = time.perf_counter()
            self.made[name] = self._drawn(self._makers[name])
            self.seconds += time.perf_counter() - started_s
        return self.made[name]

    def _drawn(self, make: Any) -> Any:
        if not isinstance(part := _on_meta(make), nn.Module):
            return part
        part = part.to(self.dtype).to_empty(device=self.device)
        return _filled(_with_buffers(part), self.device)


def _on_meta(make: Any) -> Any:
    with torch.device("meta"):
        return make()


def _filled(part: nn.Module, device: torch.device) -> nn.Module:
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, parameter in part.named_parameters():
            # Norms scale by about one; at 0.02 what goes through them would fade.
            centre = 1.0 if parameter.dim() == 1 and "norm" in name and name.endswith("weight") else 0.0
            parameter.normal_(centre, STD, generator=generator)
    return part.eval()


def _with_buffers(part: nn.Module) -> nn.Module:
    """Buffers hold what is computed at birth, such as the angles of rotations; they have no random values."""
    for name, buffer in list(part.named_buffers()):
        owner = part.get_submodule(name.rpartition(".")[0])
        leaf = name.rpartition(".")[2]
        if "inv_freq" in leaf:
            value = _frequencies(owner.config)
            owner._buffers[leaf] = value.to(buffer.device)
        elif leaf == "running_var":
            buffer.fill_(1)
        else:
            buffer.zero_()
    return part


def _frequencies(config: Any) -> torch.Tensor:
    theta: float = getattr(config, "rope_theta", None) or config.rope_parameters["rope_theta"]
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    return torch.pow(theta, -exponents)
