"""Draw with what is being trained, many prompts at once: for samples and for the evaluation.

The product draws through diffusers' pipelines, one request at a time; this loop gives the same
pictures up to the rounding of half precision (a test compares them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.autoencoder import FOLD, trained_coder
from training.captions import full_caption
from training.flow import new_scheduler
from training.latents import latents_of
from training.maps import control as control_map
from training.paint import draw
from training.pictures import to_picture
from training.stage import device, half_precision
from training.transformer import prompt_states, velocities
from training.world import Scene

STEPS: Final = 8
SHEET_SIZES: Final = ((512, 512), (1024, 576))
SHEET_KINDS: Final = ("edges", "depth", "shape")


def sample(
    transformer: Any,
    prompts: list[str],
    size: tuple[int, int],
    seed: int = 0,
    controlnet: Any = None,
    control: Tensor | None = None,
) -> Tensor:
    """Latents after eight Euler steps: (B, 16, H / 16, W / 16).

    control: what the ControlNet sees, (B, 33, H / 16, W / 16); it acts in every step.
    """
    read = prompt_states(prompts)

    def velocity(latents: Tensor, sigmas: Tensor) -> Tensor:
        hints = None
        if controlnet is not None and control is not None:
            hints = hints_of(controlnet, latents, sigmas, read, control)
        return velocities(transformer, latents, sigmas, read, hints)

    return euler(velocity, len(prompts), size, seed)


def euler(
    velocity: Callable[[Tensor, Tensor], Tensor], count: int, size: tuple[int, int], seed: int = 0
) -> Tensor:
    """Follow velocities of (latents, sigmas) from noise in eight steps: (count, 16, H / 16, W / 16)."""
    width, height = size
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn((count, 16, height // FOLD, width // FOLD), generator=generator).to(device())
    scheduler = new_scheduler()
    scheduler.sigma_min = 0.0
    scheduler.set_timesteps(STEPS)
    for step in range(STEPS):
        sigma, following = scheduler.sigmas[step].item(), scheduler.sigmas[step + 1].item()
        sigmas = torch.full((count,), sigma, device=device())
        with torch.inference_mode(), half_precision():
            latents = latents + (following - sigma) * velocity(latents, sigmas)
    return latents


def hints_of(controlnet: Any, noisy: Tensor, sigmas: Tensor, prompts: list[Tensor], control: Tensor) -> Any:
    """What the ControlNet adds to the transformer's layers."""
    frames, seen = list(noisy[:, :, None].unbind(0)), list(control[:, :, None].unbind(0))
    return controlnet(frames, 1 - sigmas, prompts, seen)


def control_channels(control: Tensor, keep: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
    """The ControlNet's 33 channels: control, what is kept (1) or repainted (0), the kept picture.

    Without a mask all is repainted and nothing kept, as the pipeline without inpainting has it: zeros.
    """
    keep = torch.zeros_like(control[:, :1]) if keep is None else keep
    masked = torch.zeros_like(control) if masked is None else masked
    return torch.cat([control, keep, masked], 1)


def pictures(latents: Tensor) -> list[NDArray[np.uint8]]:
    """Decode one after the other: uint8 (H, W, 3) each."""
    vae = trained_coder().folded().to(device())
    with torch.inference_mode():
        return [to_picture(vae.decoder(row[None].float())[0]) for row in latents]


def sheet(draw_latents: Callable[[list[str], tuple[int, int]], Tensor]) -> NDArray[np.uint8]:
    """Pictures for prompts that never change, at two sizes. draw_latents: (prompts, size) to latents."""
    rng = np.random.default_rng(11)
    rows = []
    for size in SHEET_SIZES:
        prompts = [full_caption(Scene.random(rng, 1), rng) for _ in range(6)]
        drawn = pictures(draw_latents(prompts, size))
        rows.append(np.concatenate([picture[:512, :512] for picture in drawn], 1))
    return np.concatenate(rows, 0)


def control_sheet(transformer: Any, controlnet: Any) -> NDArray[np.uint8]:
    """Control images, and below them what was drawn of them."""
    rng = np.random.default_rng(11)
    scenes = [Scene.random(rng, 1) for _ in range(8)]
    kinds = [SHEET_KINDS[i % len(SHEET_KINDS)] for i in range(8)]
    maps = [control_map(s, draw(s, 512, 512), kind) for s, kind in zip(scenes, kinds, strict=True)]
    prompts = [full_caption(scene, rng) for scene in scenes]
    control = control_channels(latents_of(maps).float().to(device()))
    drawn = pictures(sample(transformer, prompts, (512, 512), 0, controlnet, control))
    return np.concatenate([np.concatenate([a, b], 0) for a, b in zip(maps, drawn, strict=True)], 1)
