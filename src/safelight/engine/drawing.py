"""One call that draws: a pipeline as it is, with its steps reported and its output cropped."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from safelight.engine.canvas import Canvas
from safelight.models.base import Run


def draw(pipeline: Any, run: Run, canvas: Canvas, **arguments: Any) -> Image.Image:
    """Call the pipeline and return the part of its image that was asked for.

    arguments: those of the call beyond size and noise.
    """
    width, height = canvas.working
    steps = arguments["num_inference_steps"]

    def on_step_end(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        run.on_step(step + 1, steps)
        return tensors

    with torch.inference_mode():
        drawn = pipeline(
            width=width,
            height=height,
            generator=run.generator,
            callback_on_step_end=on_step_end,
            **arguments,
        )
    image: Image.Image = drawn.images[0]
    return canvas.crop(image)
