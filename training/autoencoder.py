"""The autoencoder: 16-fold, 16 channels, with a path for colour that is there before the first step.

Two stages. `autoencoder` trains both halves; then the encoder rests, so that everything that is
trained on its latents stays valid, and `decoder` goes on with the other half.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from training.paint import draw
from training.pictures import Bank, to_picture, to_tensor
from training.published import published
from training.stage import Recipe, Stage, device, half_precision, has_checkpoint, trained
from training.world import Scene

WIDTH: Final = 32
CHANNELS: Final = 16
FOLD: Final = 16
"""Pixels per latent, each way."""


def new_autoencoder() -> AutoencoderTiny:
    """The architecture, as it is published."""
    return AutoencoderTiny(
        latent_channels=CHANNELS,
        encoder_block_out_channels=(WIDTH,) * 5,
        decoder_block_out_channels=(WIDTH,) * 5,
        num_encoder_blocks=(0, 2, 3, 4, 4),
        num_decoder_blocks=(6, 5, 4, 2, 1),
    )


class Coder(nn.Module):
    """An autoencoder whose latents are normalised per channel while it trains.

    `folded` makes the normalisation part of the encoder's last convolution.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.vae = new_autoencoder().to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.full((CHANNELS,), 0.5))
        self.register_buffer("variance", torch.full((CHANNELS,), 0.27**2))
        with torch.no_grad():
            lay_colour_path(self.vae)

    def encode(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to latents of unit variance, (B, 16, H / 16, W / 16)."""
        raw: Tensor = self.vae.encoder(pictures).float()
        if self.training:
            self._follow(raw.detach())
        return (raw - self.mean[:, None, None]) / self.variance[:, None, None].sqrt()

    def take(self, state: dict[str, Tensor]) -> None:
        """Take the weights of a plain autoencoder, whose latents are normalised by its convolutions."""
        self.vae.load_state_dict(state)
        self.mean.zero_()
        self.variance.fill_(1)

    @torch.no_grad()
    def measure(self, pictures: Tensor) -> None:
        """Take the statistics of these pictures."""
        raw = self.vae.encoder(pictures).float()
        self.mean.copy_(raw.mean((0, 2, 3)))
        self.variance.copy_(raw.var((0, 2, 3)))

    def _follow(self, raw: Tensor) -> None:
        """Let the statistics follow slowly.

        A batch is never normalised by its own, as batch norm does: its average colour would be lost.
        """
        self.mean.lerp_(raw.mean((0, 2, 3)), 0.02)
        self.variance.lerp_(raw.var((0, 2, 3)), 0.02)

    def decode(self, latents: Tensor) -> Tensor:
        """The way back."""
        pictures: Tensor = self.vae.decoder(latents).float()
        return pictures

    def folded(self) -> AutoencoderTiny:
        """A plain autoencoder that gives and takes the normalised latents."""
        plain = new_autoencoder()
        plain.load_state_dict(self.vae.state_dict())
        last: Any = plain.encoder.layers[-1]
        std = self.variance.sqrt()
        with torch.no_grad():
            last.weight /= std[:, None, None, None]
            last.bias.copy_((last.bias - self.mean) / std)
        return plain.eval()


def lay_colour_path(vae: AutoencoderTiny) -> None:
    """Let the first three channels carry the average colour through every layer, from birth.

    The others begin with He's variances: as torch draws them, what they carry fades away in so deep
    a stack without norms, and edges stay in steps of 16 pixels for an hour.
    """
    spread, middle = 0.27, 0.5  # of colours in [0, 1]: what the normalisation will divide by and subtract
    for layer in vae.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for half in (vae.encoder, vae.decoder):
        for layer in half.layers:
            if isinstance(layer, nn.Conv2d):
                _pass_colour(layer)
            elif hasattr(layer, "conv"):
                last = [part for part in layer.conv if isinstance(part, nn.Conv2d)][-1]
                last.weight *= 0.3
                last.weight[:3] = 0
    first, final = (
        [layer for layer in vae.decoder.layers if isinstance(layer, nn.Conv2d)][i] for i in (0, -1)
    )
    first.weight[:3] *= spread
    first.bias.copy_(torch.tensor([middle] * 3 + [0.0] * (WIDTH - 3)))  # type: ignore[union-attr]
    nn.init.normal_(final.weight[:, 3:], std=0.01)


def _pass_colour(layer: nn.Conv2d) -> None:
    """Channels 0 to 2 in to channels 0 to 2 out; averaged over 2×2 where the layer halves."""
    layer.weight[:3] = 0
    for channel in range(3):
        if layer.stride == (2, 2):
            layer.weight[channel, channel, 1:, 1:] = 0.25
        else:
            layer.weight[channel, channel, 1, 1] = 1


class AutoencoderStage(Stage):
    """Both halves, on crops."""

    name = "autoencoder"
    recipe = Recipe(rate=1.2e-3, average=0.998, betas=(0.9, 0.95))
    crops, side, noise = 32, 64, 0.05

    def __init__(self) -> None:
        self._bank = Bank(192, np.random.default_rng(1))
        self.coder = self.begin().to(device())
        self.module: nn.Module = self.coder

    def begin(self) -> Coder:
        """A new autoencoder that knows the statistics of its own first latents."""
        coder = Coder()
        coder.measure(self._bank.crops(96, 64, np.random.default_rng(2)))
        return coder

    def loss(self, rng: np.random.Generator) -> Tensor:
        """How far the decoded crops are from the true ones."""
        pictures = self._bank.crops(self.crops, self.side, rng).to(
            device(), memory_format=torch.channels_last
        )
        with half_precision():
            latents = self.encode(pictures)
            drawn = self.coder.decode(latents + self.noise * torch.randn_like(latents))
        return likeness(drawn, pictures)

    def take_published(self) -> None:
        """Begin with the autoencoder in the package."""
        self.coder.take(published(AutoencoderTiny, "shared/vae"))

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents of a batch."""
        return self.coder.encode(pictures)

    def report(self, module: Any, folder: Path) -> str:
        """Two unseen pictures and their reconstructions; PSNR in dB."""
        module.eval()
        rng = np.random.default_rng(99)
        truth = [draw(Scene.random(rng, 1), 512, 512) for _ in range(6)]
        with half_precision():
            drawn = module.decode(module.encode(to_tensor(truth).to(device())))
        sheet = np.concatenate(
            [np.concatenate([a, to_picture(b)], 0) for a, b in zip(truth, drawn, strict=True)], 1
        )
        Image.fromarray(sheet).save(folder / f"{self.name}.png")
        error = (drawn.cpu().clamp(-1, 1) - to_tensor(truth)).square().mean()
        return f"{10 * np.log10(4 / float(error.detach())):.2f} dB"


class DecoderStage(AutoencoderStage):
    """The decoder alone, on a resting encoder."""

    name = "decoder"
    recipe = Recipe(rate=1e-3, average=0.999)
    crops, side, noise = 16, 96, 0.03

    def begin(self) -> Coder:
        """The trained autoencoder; its statistics rest with its encoder."""
        coder = trained_coder().eval()
        coder.vae.encoder.requires_grad_(False)
        return coder

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents of a batch, without a way back for gradients."""
        with torch.no_grad():
            return self.coder.encode(pictures)


def likeness(drawn: Tensor, truth: Tensor) -> Tensor:
    """Errors of pixels, near edges seven times, and of their differences to the right and below."""
    error = drawn - truth
    loss = (edge_weight(truth) * (error.abs() + error.square())).mean()
    for axis in (2, 3):
        loss = loss + functional.l1_loss(drawn.diff(dim=axis), truth.diff(dim=axis))
    return loss


def edge_weight(truth: Tensor) -> Tensor:
    """7 within four pixels of an edge, else 1: (B, 1, H, W)."""
    steps = torch.zeros_like(truth[:, :1])
    steps[:, :, :, 1:] = truth.diff(dim=3).abs().amax(1, keepdim=True)
    steps[:, :, 1:] = torch.maximum(steps[:, :, 1:], truth.diff(dim=2).abs().amax(1, keepdim=True))
    return 1 + 6 * functional.max_pool2d((steps > 0.15).float(), 9, 1, 4)


def trained_coder() -> Coder:
    """The encoder and the best decoder so far: from the checkpoints, else from the package."""
    coder = Coder()
    for stage in (DecoderStage, AutoencoderStage):
        if has_checkpoint(stage.name):
            coder.load_state_dict(trained(stage.name)["average"])
            return coder
    coder.take(published(AutoencoderTiny, "shared/vae"))
    return coder


@cache
def encoder() -> Coder:
    """The resting encoder, on the device."""
    return trained_coder().eval().requires_grad_(False).to(device())
