"""Ovis-Image's transformer: prompts behind an instruction, and guidance away from other prompts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import OvisImagePipeline, OvisImageTransformer2DModel
from PIL import Image
from torch import Tensor

from safelight.engine.ovis import MAX_TOKENS, fit_to_tokenizer
from training.flow import FlowStage, from_tokens, grid, silenced, to_tokens
from training.published import published
from training.sampling import euler, sheet
from training.stage import Recipe, device
from training.text_encoder import HIDDEN, text_encoder, tokenizer

WIDTH: Final = 128
LENGTHS: Final = (64, 64, 96, MAX_TOKENS)
"""To how many tokens a batch's prompts are filled up; the pipeline always fills to the last of them."""
GUIDANCE: Final = 4.0
"""That of the samples."""


def new_ovis() -> Any:
    """The architecture, as it is published."""
    model = OvisImageTransformer2DModel(
        in_channels=64,
        out_channels=64,
        num_layers=1,
        num_single_layers=4,
        attention_head_dim=32,
        num_attention_heads=WIDTH // 32,
        joint_attention_dim=HIDDEN,
        axes_dims_rope=(8, 12, 12),
    )
    return silenced(model, ".norm1.", ".norm1_context.", ".norm.linear.", "/norm_out.", "/proj_out.")


class OvisStage(FlowStage):
    """Ovis-Image on the bank of latents."""

    name = "ovis"
    recipe = Recipe(rate=1.5e-3, average=0.9985, weight_decay=0.02)

    def __init__(self) -> None:
        model = new_ovis()
        blocks = (*model.transformer_blocks, *model.single_transformer_blocks)
        super().__init__(model, blocks, model.single_transformer_blocks[1], width=WIDTH)

    def take_published(self) -> None:
        """Begin with the transformer in the package."""
        self.model.load_state_dict(published(OvisImageTransformer2DModel, "ovis/transformer"))

    def velocities(self, noisy: Tensor, sigmas: Tensor, prompts: list[str]) -> Tensor:
        """Noise minus data: (B, 16, h, w)."""
        length = LENGTHS[int(torch.randint(len(LENGTHS), ()))]
        return velocities(self.model, noisy, sigmas, embedded(prompts, length))

    def report(self, module: Any, folder: Path) -> str:
        """A sheet of pictures for prompts that never change."""
        drawn = sheet(lambda prompts, size: sample(module, prompts, [""] * len(prompts), size))
        Image.fromarray(drawn).save(folder / f"{self.name}.png")
        return "see the samples"


@cache
def _pipeline() -> Any:
    """The product's own way from a prompt to what the transformer reads."""
    parts = dict.fromkeys(("scheduler", "vae", "transformer"))
    made = OvisImagePipeline(text_encoder=text_encoder(), tokenizer=tokenizer(), **parts)
    fit_to_tokenizer(made)
    return made


def embedded(prompts: list[str], length: int) -> Tensor:
    """What the transformer reads of the prompts: (B, length, 160)."""
    with torch.no_grad():
        found: Tensor = _pipeline()._get_ovis_prompt_embeds(prompts, max_sequence_length=length)
    return found


def velocities(transformer: Any, noisy: Tensor, sigmas: Tensor, prompts: Tensor) -> Tensor:
    """Noise minus data: (B, 16, h, w). prompts: as `embedded` gives them."""
    height, width = noisy.shape[-2:]
    rows, columns = grid(height, width)
    places = torch.arange(prompts.shape[1], device=device())
    drawn = transformer(
        hidden_states=to_tokens(noisy),
        encoder_hidden_states=prompts,
        timestep=sigmas,
        img_ids=torch.stack([torch.zeros_like(rows), rows, columns], 1).float(),
        txt_ids=torch.stack([torch.zeros_like(places), places, places], 1).float(),
        return_dict=False,
    )[0]
    return from_tokens(drawn, height, width).float()


def sample(
    transformer: Any, prompts: list[str], negative: list[str], size: tuple[int, int], seed: int = 0
) -> Tensor:
    """Latents after eight guided steps: (B, 16, H / 16, W / 16)."""
    wanted, unwanted = embedded(prompts, MAX_TOKENS), embedded(negative, MAX_TOKENS)

    def velocity(latents: Tensor, sigmas: Tensor) -> Tensor:
        towards = velocities(transformer, latents, sigmas, wanted)
        away = velocities(transformer, latents, sigmas, unwanted)
        return away + GUIDANCE * (towards - away)

    return euler(velocity, len(prompts), size, seed)
