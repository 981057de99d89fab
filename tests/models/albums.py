"""A model that takes several images."""

from __future__ import annotations

from typing import Any

from PIL import Image

from safelight.inputs import ImageUrl, ModelInput, Seed, field
from safelight.models.base import LoadContext, Model, Run, Weights
from safelight.texts import Text


class AlbumInput(ModelInput):
    image_urls: list[ImageUrl] = field(Text("Images", "이미지"), min_length=1, max_length=3)
    seed: Seed = field(Text("Seed", "시드"), default=None)


class Album(Model):
    """Returns the pictures that it was given."""

    id = "test/album"
    display_name = "Album"
    description = Text("Returns its pictures.", "받은 이미지를 반환합니다.")
    categories = ("image-to-image",)
    licence = "Apache-2.0"
    weights = Weights(real={}, nano={})
    gpu_memory_gib = 0.0
    Input = AlbumInput

    def load(self, context: LoadContext) -> Any:
        return None

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        run.on_step(1, 1)
        return list(run.images["image_urls"])
