"""What the image models' stages share: flow matching on the bank, with a tutor who listens half way."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from training.captions import caption, full_caption
from training.latents import LatentBank, Shard
from training.stage import Stage, compiled, device, half_precision
from training.tutor import Tutor
from training.world import Scene

DIM: Final = 160
"""The width of both Z-Image models' parts and of klein."""
SHIFT: Final = 3.0
"""The scheduler's shift: how much longer than in equal steps it stays near the noise."""
FIRST: Final = 0.25
"""Share of the lessons at the noise of the first steps,"""
FAINT: Final = 0.12
"""which is from 1 down to 1 less this."""
COLOUR_CHANNELS: Final = 3
"""The latents' first channels are where the autoencoder's path for colour ends."""
COLOUR_WEIGHT: Final = 10
TUTORED: Final = 1.0
"""The weight of what the tutor asks."""
GUIDED_FROM: Final = 0.75
"""The share of its minutes after which a stage learns guidance: such steps take half as long again."""
DROPPED: Final = 0.08
"""Share of prompts that are left out, so that the model knows what it draws unasked."""


class FlowStage(Stage):
    """An image model in training: the loss of its velocities, and of what its tutor asks."""

    tokens = 6144
    tutor: Tutor
    tutors: nn.ModuleList
    guided = 0.0
    """How much further than the data the model shall go from what it draws unasked: half of the way makes
    it draw as with a guidance scale of two (model guidance, Tang et al. 2025). For models without any."""

    def __init__(self, model: Any, blocks: Iterable[nn.Module], *heard: nn.Module, width: int = DIM) -> None:
        """blocks: the transformer's; heard: those of them to which tutors listen, this stage's own first."""
        self.model = model.to(device())
        self.module: nn.Module = self.model
        self.tutor = Tutor(width).to(device())
        self.tutors = nn.ModuleList([self.tutor])
        self.heard = heard[0]
        self.blocks = tuple(blocks)
        compiled(block for block in self.blocks if block not in heard)
        self.bank = LatentBank(self.tokens)

    def matrices(self) -> list[nn.Parameter]:
        """The blocks' own products; not their modulations, which begin at zero and are moved by time."""
        return matrices_of(self.blocks)

    @abstractmethod
    def velocities(self, noisy: Tensor, sigmas: Tensor, prompts: list[str]) -> Tensor:
        """Noise minus data, as the model sees it: (B, 16, h, w)."""

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Flow matching on one batch of one size."""
        batch = self.bank.batch(rng)
        prompts = prompts_of(batch, rng)
        sigmas, noisy, velocity = noised(batch.latents)
        with half_precision(), self.tutor.listening(self.heard):
            drawn = self.velocities(noisy, sigmas, prompts)
        if self.guided and self.progress >= GUIDED_FROM:
            with torch.no_grad(), half_precision():
                unasked = self.velocities(noisy, sigmas, [""] * len(prompts))
            velocity = further(velocity, drawn, unasked, prompts, self.guided)
        return weighed_error(drawn, velocity, batch.cover) + TUTORED * self.tutor.loss(batch.answers)


def matrices_of(blocks: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The matrices of blocks that are taught, but for modulations."""
    return [
        weight
        for block in blocks
        for name, weight in block.named_parameters()
        if weight.ndim == 2 and weight.requires_grad and not re.search("norm|modulation", name, re.IGNORECASE)
    ]


def new_scheduler(dynamic: bool = False) -> FlowMatchEulerDiscreteScheduler:
    """As the real ones are configured. dynamic: the shift depends on the size; Z-Image's does not."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000, shift=SHIFT, use_dynamic_shifting=dynamic
    )


def sample_sigmas(count: int, shift: float = SHIFT) -> Tensor:
    """Noise levels in (0, 1]: logit-normal, moved as the scheduler moves its own, and some next to one.

    Drawing begins at one, where only the prompt says what shall come; logit-normal levels are hardly ever
    there, and a model that has not seen it takes plain noise for a faint picture and obeys that.
    """
    sigmas = torch.sigmoid(torch.randn(count))
    sigmas = shift * sigmas / (1 + (shift - 1) * sigmas)
    first = torch.rand(count) < FIRST
    return torch.where(first, 1 - FAINT * torch.rand(count) ** 2, sigmas).to(device())


def noised(latents: Tensor, shift: float = SHIFT) -> tuple[Tensor, Tensor, Tensor]:
    """Noise levels, noisy latents, and the velocity from data to noise."""
    sigmas = sample_sigmas(len(latents), shift)
    noise = torch.randn_like(latents)
    level = sigmas[:, None, None, None]
    return sigmas, (1 - level) * latents + level * noise, noise - latents


def further(velocity: Tensor, drawn: Tensor, unasked: Tensor, prompts: list[str], share: float) -> Tensor:
    """Move the target, where something is asked, by a share of the way from what is drawn unasked."""
    asked = torch.tensor([bool(prompt) for prompt in prompts], device=velocity.device)
    return velocity + share * asked[:, None, None, None] * (drawn.detach() - unasked)


def weighed_error(velocity: Tensor, truth: Tensor, cover: Tensor) -> Tensor:
    """Mean square error; objects, few of the pixels, count four times, and the colours ten times.

    Fine structure, which the other channels hold, cannot be foreseen while there is much noise: at equal
    weight its error drowns what can be learned of colour, place and outline.
    """
    channels = torch.ones(truth.shape[1], device=truth.device)
    channels[:COLOUR_CHANNELS] = COLOUR_WEIGHT
    weight = (1 + 3 * cover[:, None]) * channels[:, None, None]
    return ((velocity - truth).square() * weight).sum() / weight.sum()


def prompts_of(
    batch: Shard, rng: np.random.Generator, plain: Callable[[Scene, np.random.Generator], str] = full_caption
) -> list[str]:
    """A fresh caption for each scene; some are plain ones, some say nothing."""
    return [
        "" if rng.random() < DROPPED else (plain if rng.random() < 0.4 else caption)(scene, rng)
        for scene in batch.scenes
    ]


def silenced(model: nn.Module, *names: str) -> Any:
    """Set the weights whose name, behind a "/", contains one of these to zero: modulations, and the output.

    A transformer learns fastest when it begins as the identity.
    """
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if any(part in f"/{name}" for part in names):
                weight.zero_()
    return model


def to_tokens(latents: Tensor) -> Tensor:
    """Patches of 2 x 2 as Ovis and klein pack them: (B, C, h, w) to (B, h * w / 4, 4 * C)."""
    count, channels, height, width = latents.shape
    patches = latents.view(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(count, height * width // 4, channels * 4)


def from_tokens(tokens: Tensor, height: int, width: int) -> Tensor:
    """Tokens back to latents: (B, C, height, width)."""
    count, _, channels = tokens.shape
    patches = tokens.view(count, height // 2, width // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(count, channels // 4, height, width)


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Row and column of each token of latents of this height and width: (tokens,) each."""
    rows, columns = torch.meshgrid(
        torch.arange(height // 2, device=device()), torch.arange(width // 2, device=device()), indexing="ij"
    )
    return rows.flatten(), columns.flatten()
