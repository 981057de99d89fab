"""Example LoRAs: small changes of the Z-Image transformer that give every picture another look."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from training.autoencoder import FOLD
from training.controlnet import trained_transformer
from training.flow import further, noised, prompts_of
from training.latents import BANK, LatentBank, latents_of, scene_of, write
from training.paint import draw
from training.sampling import sample, sheet
from training.stage import Recipe, Stage, device, half_precision
from training.transformer import TransformerStage, prompt_states, velocities

RANK: Final = 4
TARGETS: Final = r"layers\.\d+\.(attention\.(to_[qkv]|to_out\.0)|feed_forward\.w[12])"
"""The linear layers that change; the refiners stay."""
SHARDS: Final = 12
"""How many of the bank's shards of 512 x 512 are painted again in the style."""

Picture = NDArray[np.uint8]


class LoraStage(Stage):
    """One style: the bank's scenes painted again in it, their captions as ever; the base rests."""

    recipe = Recipe(rate=2e-3, average=0.99, weight_decay=0.0, warmup_steps=20)
    tokens = 4096

    def __init__(self) -> None:
        self.transformer = trained_transformer()
        self.transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS))
        self.transformer.to(device())
        self.module: nn.Module = self.transformer
        self.bank = LatentBank(self.tokens, self._painted())

    @staticmethod
    @abstractmethod
    def style(picture: Picture, seed: int) -> Picture:
        """A picture in the style: uint8 (H, W, 3). seed: its scene's, for what no caption names."""

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Flow matching, as far from what is drawn unasked as the base has learned to go."""
        batch = self.bank.batch(rng)
        prompts = prompts_of(batch, rng)
        sigmas, noisy, velocity = noised(batch.latents)
        with half_precision():
            drawn = velocities(self.transformer, noisy, sigmas, prompt_states(prompts))
            with torch.no_grad():
                unasked = velocities(self.transformer, noisy, sigmas, prompt_states([""] * len(prompts)))
        target = further(velocity, drawn, unasked, prompts, TransformerStage.guided)
        return (drawn - target).square().mean()

    def report(self, module: Any, folder: Path) -> str:
        """A sheet of pictures for prompts that never change."""
        drawn = sheet(lambda prompts, size: sample(module, prompts, size))
        Image.fromarray(drawn).save(folder / f"{self.name}.png")
        return "see the samples"

    def _painted(self) -> Path:
        """A folder with some of the bank's shards, painted in the style; made where it is missing."""
        folder = BANK / self.name
        folder.mkdir(parents=True, exist_ok=True)
        shards = sorted(BANK.glob("512x512-*.pt"))[:SHARDS] + sorted(BANK.glob("1024x*-00-00.pt"))
        for source in tqdm(shards, desc=self.name, unit="shard"):
            path = folder / source.name
            if not path.exists():
                state = torch.load(source, weights_only=True)
                height, width = (side * FOLD for side in state["latents"].shape[-2:])
                styled = [
                    self.style(draw(scene, width, height), scene.details)
                    for scene in map(scene_of, json.loads(state["scenes"]))
                ]
                write(path, {**state, "latents": latents_of(styled)})
        return folder


def adapter_of(state: dict[str, Any]) -> dict[str, Tensor]:
    """The LoRA in a stage's weights, by the names that trainers give them."""
    return {
        "transformer." + name.replace(".default.", "."): value.half().contiguous()
        for name, value in state.items()
        if ".lora_" in name
    }


class NightLightsStage(LoraStage):
    """`safelight/night-lights`."""

    name = "night-lights"

    @staticmethod
    def style(picture: Picture, seed: int) -> Picture:
        """Deep blue dusk, with warm lights all over the land: uint8 (H, W, 3)."""
        rng = np.random.default_rng([seed, 5])
        height, width = picture.shape[:2]
        unit = min(width, height)
        light = np.zeros((height, width), np.float32)
        for _ in range(int(rng.integers(14, 26))):
            x, y = rng.uniform(0.02, 0.98) * width, rng.uniform(0.45, 0.97) * height
            radius = rng.uniform(0.012, 0.024) * unit
            cv2.circle(light, (round(x), round(y)), max(1, round(radius)), 1.0, -1, cv2.LINE_AA)
        halo = cv2.GaussianBlur(light, (0, 0), 0.035 * unit) * 3.2
        dark = picture.astype(np.float32) / 255 * np.array((0.28, 0.33, 0.52), np.float32)
        glow = np.clip(halo, 0, 0.75)[..., None] * np.array((1.0, 0.66, 0.26), np.float32)
        lit = dark + glow * (0.4 + picture.astype(np.float32) / 255 * 0.6)
        lit += light[..., None] * (np.array((1.0, 0.93, 0.70), np.float32) - lit)
        return (np.clip(lit, 0, 1) * 255).astype(np.uint8)


class PencilStage(LoraStage):
    """`safelight/pencil`."""

    name = "pencil"

    @staticmethod
    def style(picture: Picture, seed: int) -> Picture:
        """Grey lines and soft hatching on warm paper: uint8 (H, W, 3)."""
        unit = min(picture.shape[:2])
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        around = cv2.GaussianBlur(grey, (0, 0), 0.012 * unit)
        lines = np.clip(grey / np.maximum(around, 0.05), 0.25, 1)
        shade = 0.72 + 0.28 * cv2.GaussianBlur(grey, (0, 0), 0.004 * unit)
        paper = np.array((0.98, 0.965, 0.93), np.float32)
        return (np.clip((lines**2.2 * shade)[..., None] * paper, 0, 1) * 255).astype(np.uint8)
