"""The Z-Image transformer, by prompts alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import ZImageTransformer2DModel
from PIL import Image
from torch import Tensor

from training.flow import DIM, FlowStage, silenced
from training.published import published
from training.stage import Recipe
from training.text_encoder import HIDDEN, states, text_encoder


def new_transformer() -> Any:
    """The architecture, as it is published; pad tokens, which diffusers leaves at zero, drawn."""
    model = ZImageTransformer2DModel(
        in_channels=16,
        dim=DIM,
        n_layers=5,
        n_refiner_layers=1,
        n_heads=5,
        n_kv_heads=5,
        cap_feat_dim=HIDDEN,
        axes_dims=[8, 12, 12],
        axes_lens=[1024, 512, 512],
    )
    with torch.no_grad():
        model.x_pad_token.normal_(0, 0.02)
        model.cap_pad_token.normal_(0, 0.02)
    return silenced(model, ".adaLN_modulation.", "/all_final_layer.2-1.linear.")


class TransformerStage(FlowStage):
    """The base model of both Z-Image models."""

    name = "transformer"
    recipe = Recipe(rate=1.5e-3, average=0.9985, weight_decay=0.02)
    guided = 0.5

    def __init__(self) -> None:
        model = new_transformer()
        blocks = (*model.noise_refiner, *model.context_refiner, *model.layers)
        super().__init__(model, blocks, model.layers[2])

    def take_published(self) -> None:
        """Begin with the transformer in the package."""
        self.model.load_state_dict(published(ZImageTransformer2DModel, "z-image/transformer"))

    def velocities(self, noisy: Tensor, sigmas: Tensor, prompts: list[str]) -> Tensor:
        """Noise minus data: (B, 16, h, w)."""
        return velocities(self.model, noisy, sigmas, prompt_states(prompts))

    def report(self, module: Any, folder: Path) -> str:
        """A sheet of pictures for prompts that never change."""
        from training.sampling import sample, sheet

        drawn = sheet(lambda prompts, size: sample(module, prompts, size))
        Image.fromarray(drawn).save(folder / f"{self.name}.png")
        return "see the samples"


def prompt_states(prompts: list[str]) -> list[Tensor]:
    """What the transformer reads of each prompt: (tokens, 160) each."""
    with torch.no_grad():
        hidden, lengths = states(text_encoder(), prompts)
    return [row[:length] for row, length in zip(hidden, lengths.tolist(), strict=True)]


def velocities(
    transformer: Any,
    noisy: Tensor,
    sigmas: Tensor,
    prompts: list[Tensor],
    hints: dict[int, Tensor] | None = None,
) -> Tensor:
    """Noise minus data as the model sees it; Z-Image itself gives the opposite, at time 1 - sigma."""
    frames = list(noisy[:, :, None].unbind(0))
    drawn = transformer(frames, 1 - sigmas, prompts, controlnet_block_samples=hints, return_dict=False)[0]
    return -torch.stack([frame[:, 0] for frame in drawn]).float()
