"""A ControlNet from a single file: its configuration is read off its tensors."""

from __future__ import annotations

from typing import Any

import safetensors.torch
import torch

from safelight.engine.control import WindowedControlNet
from safelight.errors import InvalidLora, LoraIncompatible

EMBEDDER = "control_all_x_embedder.2-1.weight"
PATCH_VALUES = 4
"""A token is 2×2 latents."""


def load_controlnet(data: bytes, pipeline: Any, like: WindowedControlNet) -> WindowedControlNet:
    """Build the ControlNet of a file beside a loaded one, whose borrowed modules and device it shares.

    Raises LoraIncompatible when it cannot do what the pipeline's own can (filling masks), InvalidLora when
    tensors are missing.
    """
    loaded = safetensors.torch.load(data)
    tensors = {name.removeprefix("model.diffusion_model."): tensor for name, tensor in loaded.items()}
    config = _config(tensors, pipeline.transformer)
    fills_masks = config["control_in_dim"] > pipeline.transformer.in_channels
    if "Inpaint" in type(pipeline).__name__ and not fills_masks:
        raise LoraIncompatible("This ControlNet cannot fill masks; versions 2.0 and 2.1 of it can.")
    with torch.device("meta"):
        controlnet = WindowedControlNet(**config)
    wanted = set(controlnet.state_dict())
    if not wanted <= set(tensors):
        raise InvalidLora("This ControlNet lacks tensors, or is of a kind that is not known here.")
    if not all(torch.isfinite(tensors[name]).all() for name in wanted):
        raise InvalidLora("The file holds numbers that are not finite.")
    try:
        # Copies, because where a tensor begins in memory changes the last bits of what is computed with it.
        controlnet.load_state_dict({name: tensors[name].clone() for name in wanted}, assign=True)
    except RuntimeError:
        raise InvalidLora("The shapes of this ControlNet's tensors do not fit each other.") from None
    controlnet = controlnet.to(like.device, like.dtype).eval()
    return WindowedControlNet.from_transformer(controlnet, pipeline.transformer)  # type: ignore[no-any-return]


def _config(tensors: dict[str, torch.Tensor], transformer: Any) -> dict[str, Any]:
    """What its class wants to know, for versions 1, 2.0, 2.1 and 2.1-lite."""
    if EMBEDDER not in tensors:
        raise InvalidLora("This ControlNet is of a kind that is not known here.")
    width, values = tensors[EMBEDDER].shape
    layers, refiners = _count(tensors, "control_layers"), _count(tensors, "control_noise_refiner")
    of = transformer.config
    if not layers or layers > of.n_layers:
        raise InvalidLora("This ControlNet has no layers, or too many.")
    kind = _refiner(tensors, values // PATCH_VALUES, of.in_channels)
    # They are spread evenly: 6 over 30 layers on each fifth, 15 on each second, 3 on each tenth.
    places = list(range(0, of.n_layers, -(-of.n_layers // layers)))
    return {
        "control_layers_places": places[:layers],
        "control_refiner_layers_places": list(range(of.n_refiner_layers)) if kind else None,
        "control_in_dim": values // PATCH_VALUES,
        "add_control_noise_refiner": kind,
        "dim": width,
        "n_refiner_layers": refiners or of.n_refiner_layers,
        "n_heads": of.n_heads,
        "n_kv_heads": of.n_kv_heads,
        "norm_eps": of.norm_eps,
        "qk_norm": of.qk_norm,
    }


def _refiner(tensors: dict[str, torch.Tensor], channels: int, latent_channels: int) -> str | None:
    """Which layers refine the control's tokens. 2.0 and 2.1 have the same names; 2.0's are zero, unused."""
    if channels <= latent_channels:
        return None
    first = tensors.get("control_noise_refiner.0.before_proj.weight")
    return "control_layers" if first is None or not first.any() else "control_noise_refiner"


def _count(tensors: dict[str, torch.Tensor], name: str) -> int:
    return len({key.split(".")[1] for key in tensors if key.startswith(f"{name}.")})
