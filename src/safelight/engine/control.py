"""Control of Z-Image: in which steps the ControlNet speaks, and what it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from diffusers import ZImageControlNetModel
from PIL import Image

CANNY_LOW = 100
CANNY_HIGH = 200


@dataclass(frozen=True)
class Window:
    """The part of the steps that is controlled: from `start` to `end`, in [0, 1]."""

    start: float
    end: float
    steps: int

    def controls(self, step: int) -> bool:
        """Whether this step, counted from 0, is controlled.

        It is when it lies in the window as a whole. A window that begins at 0 holds the first step in any
        case: 0.4 of two steps would otherwise be none.
        """
        if step == 0 and self.start == 0 and self.end > 0:
            return True
        return step / self.steps >= self.start and (step + 1) / self.steps <= self.end


class WindowedControlNet(ZImageControlNetModel):  # type: ignore[misc]
    """diffusers' ControlNet, silent outside a window of steps: the transformer takes None for no hints."""

    _window: Window | None = None
    _step = 0

    @contextmanager
    def within(self, window: Window) -> Iterator[None]:
        """Speak only within the window's steps, counted from the block's first one."""
        self._window, self._step = window, 0
        try:
            yield
        finally:
            self._window = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The hints of one step, or None."""
        step, self._step = self._step, self._step + 1
        if self._window is not None and not self._window.controls(step):
            return None
        return super().forward(*args, **kwargs)


def canny(image: Image.Image) -> Image.Image:
    """The edges of an RGB image, white on black, in the same size and mode."""
    edges = cv2.Canny(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY), CANNY_LOW, CANNY_HIGH)
    return Image.fromarray(cv2.cvtColor(edges, cv2.COLOR_GRAY2RGB))
