"""Models that cannot run: one that is only described, one whose weights are not installed."""

from __future__ import annotations

from typing import Any

from PIL import Image

from safelight.inputs import ImageUrl, ModelInput, field
from safelight.models.base import LoadContext, Model, Part, Run, Weights
from safelight.texts import Text


class DescribedInput(ModelInput):
    image_url: ImageUrl = field(Text("Image", "이미지"))


class Described(Model):
    """Has no engine."""

    id = "test/described"
    display_name = "Described"
    description = Text("Cannot run.", "실행할 수 없습니다.")
    categories = ("image-to-image",)
    licence = "Apache-2.0"
    weights = Weights(real={})
    gpu_memory_gib = 0.0
    Input = DescribedInput


class Weightless(Described):
    """Has an engine, and nothing to run it with."""

    id = "test/weightless"
    weights = Weights(real={}, nano={"transformer": Part("no-such-family", "transformer")})

    def load(self, context: LoadContext) -> Any:
        return None

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        return [Image.new("RGB", (16, 16))]
