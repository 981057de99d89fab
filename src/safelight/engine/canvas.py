"""Sizes: the one that was asked for, and the one that a pipeline can work at.

Pipelines need sides that are multiples of something; people do not. So work at the next multiple, with the
input's edges repeated, and crop what comes out. All sizes are (width, height) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from safelight.inputs import PIXELS

Size = tuple[int, int]

AUTO = "auto"
AUTO_PIXELS = 1024 * 1024
AUTO_MULTIPLE = 16


@dataclass(frozen=True)
class Canvas:
    """The size that was asked for and the one that is worked at, which is at least as large."""

    asked: Size
    working: Size

    def extend(self, image: Image.Image) -> Image.Image:
        """An RGB or grey image of the asked size, right and bottom edges repeated up to the working size."""
        if self.asked == self.working:
            return image
        pixels = np.asarray(image)
        right, below = (self.working[axis] - self.asked[axis] for axis in (0, 1))
        margins = ((0, below), (0, right), (0, 0))[: pixels.ndim]
        return Image.fromarray(np.pad(pixels, margins, mode="edge"))

    def crop(self, image: Image.Image) -> Image.Image:
        """The part of an image of the working size that was asked for."""
        return image if self.asked == self.working else image.crop((0, 0, *self.asked))


def asked_size(image_size: str, image: Image.Image, longest_side: int) -> Size:
    """The size of the output: a named one, or for `auto` the input image's own.

    `auto` never enlarges: sides are rounded down to multiples of 16 (never below 16), after shrinking what is
    above one megapixel, or longer than the pipeline's longest side.
    """
    if image_size != AUTO:
        return PIXELS[image_size]
    width, height = image.size
    shrink = min(1.0, (AUTO_PIXELS / (width * height)) ** 0.5, longest_side / max(width, height))
    return _rounded_down(width * shrink), _rounded_down(height * shrink)


def _rounded_down(side: float) -> int:
    # The smallest of errors in the product must not cost 16 pixels.
    return max(AUTO_MULTIPLE, int(side + 1e-6) // AUTO_MULTIPLE * AUTO_MULTIPLE)


def working_size(asked: Size, multiple: int) -> Size:
    """The smallest size of the pipeline's multiples that holds the asked one."""
    width, height = (-(-side // multiple) * multiple for side in asked)
    return width, height
