"""A model that sleeps as long as a GPU would compute, and leaves everything else to be done for real."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from safelight.inputs import ImageUrl, ModelInput, OutputFormat, Seed, field, output_format_field, seed_field
from safelight.models.base import LoadContext, Model, Run, Weights
from safelight.prices import Price
from safelight.texts import Text

SLEEP_S = 1.0
"""About what eight steps of Z-Image with a ControlNet take at 1024² on the fastest card."""

SIDE = 1024


class SleeperInput(ModelInput):
    """A picture that must be fetched, and one that must be encoded."""

    image_url: ImageUrl = field(Text("Image", "이미지"))
    output_format: OutputFormat = output_format_field(Text("Output format", "출력 형식"))
    seed: Seed = seed_field(0)


class Sleeper(Model):
    """Sleeps, and returns a picture that is as hard to encode as a photograph."""

    id = "benchmark/sleeper"
    display_name = "Sleeper"
    description = Text("Sleeps.", "잠을 잡니다.")
    categories = ("image-to-image",)
    licence = "Apache-2.0"
    price = Price()
    weights = Weights(real={})
    gpu_memory_gib = 0.0
    Input = SleeperInput

    def load(self, context: LoadContext) -> Image.Image:
        """Make the picture."""
        return photograph()

    def generate(self, pipeline: Image.Image, request: Any, run: Run) -> list[Image.Image]:
        """Sleep."""
        time.sleep(SLEEP_S)
        return [pipeline]


def photograph() -> Image.Image:
    """Smooth shades with fine grain, 1024×1024, RGB."""
    numbers = np.random.default_rng(0)
    coarse = Image.fromarray(numbers.integers(0, 255, (16, 16, 3), dtype=np.uint8)).resize((SIDE, SIDE))
    grain = numbers.normal(0, 4, (SIDE, SIDE, 3))
    smooth = np.asarray(coarse.filter(ImageFilter.GaussianBlur(4)), dtype=float)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))
