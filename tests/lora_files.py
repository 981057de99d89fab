"""LoRA files in the formats of all trainers, made for whatever model a test has loaded."""

from __future__ import annotations

import json
import struct

import torch
from safetensors.torch import save_file

PARTS = ("to_q", "to_k", "to_v")


def pairs(targets, rank=4, seed=0, size=0.3):
    """Random low-rank pairs by module: (down, up)."""
    generator = torch.Generator().manual_seed(seed)
    return {
        module: (
            torch.randn(rank, inputs, generator=generator) * size,
            torch.randn(outputs, rank, generator=generator) * size,
        )
        for module, (outputs, inputs) in targets.items()
    }


def underscored(module):
    return module.replace(".", "_")


def fused(made):
    """The same LoRA as trainers write it that know one qkv layer. Its three parts must share `down`."""
    out = {}
    for module, (down, up) in made.items():
        if module.endswith("attention.to_q"):
            block = module.removesuffix("to_q")
            ups = [made[block + part][1] for part in PARTS]
            out[block + "qkv"] = (down, torch.cat(ups))
        elif module.endswith("attention.to_out.0"):
            out[module.removesuffix("to_out.0") + "out"] = (down, up)
        elif not module.endswith(PARTS):
            out[module] = (down, up)
    return out


def with_shared_down(made):
    """q, k and v with one `down`, so that the LoRA can be fused."""
    return {
        module: (made[module[:-4] + "to_q"][0] if module.endswith(PARTS) else down, up)
        for module, (down, up) in made.items()
    }


def ab(made, prefix="", infix=""):
    return {
        f"{prefix}{module}.lora_{letter}{infix}.weight": tensor
        for module, pair in made.items()
        for letter, tensor in zip("AB", pair, strict=True)
    }


def down_up(made, prefix="", name=str):
    return {
        f"{prefix}{name(module)}.lora_{role}.weight": tensor
        for module, pair in made.items()
        for role, tensor in zip(("down", "up"), pair, strict=True)
    }


def alphas(made, alpha, prefix="", name=str):
    return {f"{prefix}{name(module)}.alpha": torch.tensor(float(alpha)) for module in made}


def formats(made, rank=4):
    """The same LoRA in every format: alpha equals the rank, so that it changes nothing."""
    whole = fused(made)
    return {
        "peft": ab(made, "transformer."),
        "ai-toolkit": ab(made, "diffusion_model."),
        "ai-toolkit with alpha": ab(made, "diffusion_model.") | alphas(made, rank, "diffusion_model."),
        "comfy": down_up(made, "diffusion_model.") | alphas(made, rank, "diffusion_model."),
        "kohya": down_up(made, "lora_unet_", underscored) | alphas(made, rank, "lora_unet_", underscored),
        "old diffusers": down_up(made, "transformer."),
        "bare": ab(made),
        "bare with the adapter's name": ab(made, infix=".default"),
        "peft's own": ab(made, "base_model.model."),
        "fused": ab(whole, "diffusion_model."),
        "fused kohya": down_up(whole, "lora_unet_", underscored),
        "fused with alpha": down_up(whole, "diffusion_model.") | alphas(whole, rank, "diffusion_model."),
    }


def save(path, tensors, metadata=None):
    # safetensors refuses tensors that share memory.
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def raw(content, data=b""):
    """The bytes of a file with this header, honest or not."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + data
