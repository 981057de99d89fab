"""What an image looks like so far, for next to nothing: a linear map from latents to colours.

The autoencoder would take longer than a step. Its own encoder says what the latents of known colours are, and
least squares finds the way back; that is done once, when the first preview is wanted.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from diffusers.pipelines.z_image.pipeline_z_image_img2img import retrieve_latents
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle, pixel_unshuffle

MAX_SIDE = 128
_PICTURES, _CELLS = 16, 8

_maps: WeakKeyDictionary[torch.nn.Module, Tensor] = WeakKeyDictionary()


def colours_of(vae: Any, scale: int) -> Tensor:
    """The map of this autoencoder: (channels + 1, 3), the last row a constant; colours are in [-1, 1].

    scale: pixels per latent.
    """
    if vae not in _maps:
        _maps[vae] = _fitted(vae, scale)
    return _maps[vae]


def _fitted(vae: Any, scale: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((_PICTURES, 3, 4, 4), generator=generator) * 2 - 1
    pixels = interpolate(coarse, size=_CELLS * scale, mode="bilinear").to(vae.device, vae.dtype)
    with torch.inference_mode():
        latents = _scaled(vae, retrieve_latents(vae.encode(pixels), sample_mode="argmax"))
        rows = _with_constant(latents.float()).flatten(0, -2).cpu()
        colours = avg_pool2d(pixels.float(), scale).movedim(1, -1).flatten(0, -2).cpu()
        # On the CPU, and by a way that stands latents which say the same thing twice.
        found: Tensor = torch.linalg.lstsq(rows, colours, driver="gelsd").solution
        return found


def _scaled(vae: Any, latents: Tensor) -> Tensor:
    """An autoencoder's latents as its pipeline denoises them."""
    if hasattr(vae.config, "shift_factor"):
        return (latents - vae.config.shift_factor) * vae.config.scaling_factor  # type: ignore[no-any-return]
    # klein's are scaled by a batch norm over tokens of 2×2 latents.
    mean = vae.bn.running_mean.view(1, -1, 1, 1).to(latents)
    deviation = (vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps).sqrt().to(latents)
    return pixel_shuffle((pixel_unshuffle(latents, 2) - mean) / deviation, 2)


def preview(latents: Tensor, colours: Tensor) -> Image.Image:
    """A small RGB image, a pixel for each of (1, channels, h, w) latents, at most MAX_SIDE wide and high."""
    rgb = _with_constant(latents[0].float().cpu()[None])[0] @ colours
    values = ((rgb + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    image = Image.fromarray(values.numpy())
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    return image


def _with_constant(latents: Tensor) -> Tensor:
    """(B, channels, h, w) as (B, h, w, channels + 1)."""
    last = latents.movedim(1, -1)
    return torch.cat((last, torch.ones_like(last[..., :1])), -1)
