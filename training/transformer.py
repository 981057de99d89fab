"""The Z-Image transformer: flow matching on the bank of latents, at all sizes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ZImageTransformer2DModel
from PIL import Image
from torch import Tensor, nn

from training.captions import caption, full_caption
from training.latents import LatentBank, Shard
from training.published import published
from training.stage import Recipe, Stage, compiled, device, half_precision
from training.text_encoder import HIDDEN, states, text_encoder
from training.tutor import Tutor

DIM: Final = 160
SHIFT: Final = 3.0
"""The scheduler's shift: how much longer than in equal steps it stays near the noise."""
COLOUR_CHANNELS: Final = 3
"""The latents' first channels are where the autoencoder's path for colour ends."""
HEARD: Final = 2
"""The layer whose output the tutor hears."""
TUTORED: Final = 1.0
"""The weight of what the tutor asks."""
DROPPED: Final = 0.08
"""Share of prompts that are left out, so that the model knows what it draws unasked."""


def new_transformer() -> ZImageTransformer2DModel:
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
        # A transformer learns fastest when it begins as the identity: modulation silent, output zero.
        for name, weight in model.named_parameters():
            if "adaLN_modulation" in name or (name.startswith("all_final_layer") and "linear" in name):
                weight.zero_()
    return model


def new_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """As the real one is configured."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=SHIFT)


def sample_sigmas(count: int) -> Tensor:
    """Noise levels in (0, 1), logit-normal, moved as the scheduler moves its own."""
    sigmas = torch.sigmoid(torch.randn(count))
    return (SHIFT * sigmas / (1 + (SHIFT - 1) * sigmas)).to(device())


def prompt_states(prompts: list[str]) -> list[Tensor]:
    """What the transformer reads of each prompt: (tokens, 160) each."""
    with torch.no_grad():
        hidden, lengths = states(text_encoder(), prompts)
    return [row[:length] for row, length in zip(hidden, lengths.tolist(), strict=True)]


def weighed_error(velocity: Tensor, truth: Tensor, cover: Tensor) -> Tensor:
    """Mean square error; objects, few of the pixels, count four times, and so do the colours.

    Fine structure, which the other channels hold, cannot be foreseen while there is much noise: at equal
    weight its error drowns what can be learned of colour and place.
    """
    channels = torch.ones(truth.shape[1], device=truth.device)
    channels[:COLOUR_CHANNELS] = 4
    weight = (1 + 3 * cover[:, None]) * channels[:, None, None]
    return ((velocity - truth).square() * weight).sum() / weight.sum()


class TransformerStage(Stage):
    """The base model, by prompts alone."""

    name = "transformer"
    recipe = Recipe(rate=1.5e-3, average=0.9985, weight_decay=0.02)
    tokens = 6144
    tutor: Tutor

    def __init__(self) -> None:
        self.transformer = new_transformer().to(device())
        self.module: nn.Module = self.transformer
        self.tutor = Tutor(DIM).to(device())
        self.heard = self.transformer.layers[HEARD]
        refiners = (*self.transformer.noise_refiner, *self.transformer.context_refiner)
        compiled(block for block in (*refiners, *self.transformer.layers) if block is not self.heard)
        self.bank = LatentBank(self.tokens)

    def take_published(self) -> None:
        """Begin with the transformer in the package."""
        self.transformer.load_state_dict(published(ZImageTransformer2DModel, "z-image/transformer"))

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Flow matching on one batch of one size."""
        batch = self.bank.batch(rng)
        sigmas, noisy, velocity = noised(batch.latents)
        with half_precision(), self.tutor.listening(self.heard):
            drawn = velocities(self.transformer, noisy, sigmas, prompt_states(prompts_of(batch, rng)))
        return weighed_error(drawn, velocity, batch.cover) + TUTORED * self.tutor.loss(batch.answers)

    def report(self, module: Any, folder: Path) -> str:
        """A sheet of pictures for prompts that never change."""
        from training.sampling import sheet

        Image.fromarray(sheet(module, None)).save(folder / f"{self.name}.png")
        return "see the samples"


def noised(latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Noise levels, noisy latents, and the velocity from data to noise."""
    sigmas = sample_sigmas(len(latents))
    noise = torch.randn_like(latents)
    level = sigmas[:, None, None, None]
    return sigmas, (1 - level) * latents + level * noise, noise - latents


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


def prompts_of(batch: Shard, rng: np.random.Generator) -> list[str]:
    """A fresh caption for each scene; some say nothing."""
    return [
        "" if rng.random() < DROPPED else (full_caption if rng.random() < 0.4 else caption)(scene, rng)
        for scene in batch.scenes
    ]
