"""A model that does nothing, to measure everything around a model."""

from __future__ import annotations

from typing import Any

from PIL import Image

from safelight.inputs import ModelInput, Seed, seed_field
from safelight.models.base import LoadContext, Model, Run, Weights
from safelight.prices import Price
from safelight.texts import Text


class NothingInput(ModelInput):
    """Only what every model has."""

    seed: Seed = seed_field(0)


class Nothing(Model):
    """Returns a small black picture at once."""

    id = "benchmark/nothing"
    display_name = "Nothing"
    description = Text("Does nothing.", "아무것도 하지 않습니다.")
    categories = ("text-to-image",)
    licence = "Apache-2.0"
    price = Price()
    weights = Weights(real={})
    gpu_memory_gib = 0.0
    Input = NothingInput

    def load(self, context: LoadContext) -> None:
        """Load nothing."""

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        """Draw nothing."""
        return [Image.new("RGB", (16, 16))]
