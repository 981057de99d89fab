"""One ControlNet of the 2.1 kind for both Z-Image models; the base rests.

Two thirds of its lessons are control images (edges, depth, silhouettes, skeletons), one third masks:
the picture around the mask is given, what the prompt says belongs inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import ZImageControlNetModel, ZImageTransformer2DModel
from PIL import Image
from torch import Tensor, nn

from training.captions import plain_caption
from training.flow import DIM, further, noised, prompts_of, weighed_error
from training.latents import LatentBank, Shard
from training.published import published
from training.sampling import control_channels, hints_of
from training.stage import Recipe, Stage, compiled, device, half_precision, has_checkpoint, trained
from training.transformer import TransformerStage, new_transformer, prompt_states, velocities

SHIFT: Final = 6.0
"""Nearer to the noise than the base's lessons: a request lets the ControlNet speak in its first steps."""
MASKED: Final = 1 / 3
"""Share of the lessons that are masks."""
BORROWED: Final = (
    *("t_embedder", "all_x_embedder", "cap_embedder", "rope_embedder", "noise_refiner", "context_refiner"),
    *("x_pad_token", "cap_pad_token"),
)
"""What the ControlNet borrows of the transformer, and does not save."""


def new_controlnet() -> ZImageControlNetModel:
    """The architecture, as it is published; its projections, zero as diffusers makes them, drawn small."""
    model = ZImageControlNetModel(
        control_layers_places=[0, 2],
        control_refiner_layers_places=[0],
        control_in_dim=33,
        add_control_noise_refiner="control_noise_refiner",
        dim=DIM,
        n_refiner_layers=1,
        n_heads=5,
        n_kv_heads=5,
    )
    model.gradient_checkpointing = False  # diffusers forgets to set it and asks for it in training
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "after_proj.weight" in name:
                weight.normal_(0, 0.02)
            elif "before_proj.weight" in name:
                weight.copy_(torch.eye(DIM))
    return model


def lend(controlnet: ZImageControlNetModel, transformer: Any) -> ZImageControlNetModel:
    """Give the ControlNet what it borrows of a resting transformer."""
    return ZImageControlNetModel.from_transformer(controlnet, transformer)


def trained_transformer() -> Any:
    """The base model, resting, on the device."""
    model = new_transformer()
    if has_checkpoint(TransformerStage.name):
        model.load_state_dict(trained(TransformerStage.name)["average"])
    else:
        model.load_state_dict(published(ZImageTransformer2DModel, "z-image/transformer"))
    return model.eval().requires_grad_(False).to(device())


class ControlNetStage(Stage):
    """The ControlNet, on the bank's control images and on masks."""

    name = "controlnet"
    recipe = Recipe(rate=1.5e-3, average=0.998)
    tokens = 4096

    def __init__(self) -> None:
        self.transformer = trained_transformer()
        self.controlnet = lend(new_controlnet(), self.transformer).to(device())
        # Products are in half precision while it trains; what is written between them must fit.
        for name in ("x_pad_token", "cap_pad_token"):
            token = getattr(self.transformer, name).detach().bfloat16()
            setattr(self.controlnet, name, nn.Parameter(token, requires_grad=False))
        self.module: nn.Module = self.controlnet
        base = self.transformer
        compiled((*base.noise_refiner, *base.context_refiner, *base.layers))
        self.bank = LatentBank(self.tokens)

    def take_published(self) -> None:
        """Begin with the ControlNet in the package; what it borrows stays."""
        self.controlnet.load_state_dict(published(ZImageControlNetModel, "z-image/controlnet"), strict=False)

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Flow matching with hints; plain prompts leave size and place to the control image."""
        batch = self.bank.batch(rng)
        prompts = prompts_of(batch, rng, plain_caption)
        sigmas, noisy, velocity = noised(batch.latents, SHIFT)
        seen, cover = (
            masked_lesson(batch, rng)
            if rng.random() < MASKED
            else (control_channels(batch.control), batch.cover)
        )
        drawn = self._velocities(noisy, sigmas, prompts, seen)
        with torch.no_grad():
            unasked = self._velocities(noisy, sigmas, [""] * len(prompts), seen)
        return weighed_error(
            drawn, further(velocity, drawn, unasked, prompts, TransformerStage.guided), cover
        )

    def _velocities(self, noisy: Tensor, sigmas: Tensor, prompts: list[str], seen: Tensor) -> Tensor:
        read = prompt_states(prompts)
        with half_precision():
            hints = hints_of(self.controlnet, noisy, sigmas, read, seen)
            return velocities(self.transformer, noisy, sigmas, read, hints)

    def report(self, module: Any, folder: Path) -> str:
        """Control images, and what was drawn of them."""
        from training.sampling import control_sheet

        Image.fromarray(control_sheet(self.transformer, module)).save(folder / f"{self.name}.png")
        return "see the samples"


def masked_lesson(batch: Shard, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Channels for repainting a part of the picture, and the weight of the parts.

    The masked picture is the picture's latents where it is kept and grey's where it is not: what
    encoding the picture with a grey hole gives, but for the hole's rim.
    """
    _, _, height, width = batch.latents.shape
    repaint = torch.stack([_hole(height, width, cover, rng) for cover in batch.cover]).to(device())
    grey = grey_latent().to(device())[None, :, None, None]
    keep = 1 - repaint
    masked = batch.latents * keep + grey * repaint
    return control_channels(torch.zeros_like(batch.control), keep, masked), torch.maximum(
        batch.cover, repaint[:, 0]
    )


def _hole(height: int, width: int, cover: Tensor, rng: np.random.Generator) -> Tensor:
    """What is repainted: a box around the object most of the time, else a box anywhere, sometimes all."""
    chance, repaint = rng.random(), torch.zeros(1, height, width)
    if chance < 0.08:
        return torch.ones(1, height, width)
    if chance < 0.75 and bool((cover > 0.3).any()):
        rows, columns = torch.nonzero(cover.cpu() > 0.3, as_tuple=True)
        top, bottom, left, right = int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())
        grow = rng.integers(0, 4, 4)
        top, left = max(top - int(grow[0]), 0), max(left - int(grow[1]), 0)
        bottom, right = bottom + int(grow[2]), right + int(grow[3])
    else:
        h, w = int(rng.integers(height // 5, height)), int(rng.integers(width // 5, width))
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        bottom, right = top + h, left + w
    repaint[:, top : bottom + 1, left : right + 1] = 1
    return repaint


def grey_latent() -> Tensor:
    """What the encoder makes of plain grey, the pipelines' filling of a hole: (16,)."""
    from training.autoencoder import encoder

    with torch.inference_mode():
        return encoder().encode(torch.zeros(1, 3, 128, 128).to(device()))[0, :, 4, 4].clone()
