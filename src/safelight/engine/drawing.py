"""One call that draws: a pipeline as it is, its steps reported and shown, its output cropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from safelight.engine.canvas import Canvas
from safelight.engine.previews import colours_of, preview
from safelight.models.base import Run

Unpack = Callable[[Any, torch.Tensor, Canvas], torch.Tensor]
"""(pipeline, its packed latents, canvas) to latents as its autoencoder takes them, (1, channels, h, w)."""


def draw(pipeline: Any, run: Run, canvas: Canvas, unpack: Unpack, **arguments: Any) -> Image.Image:
    """Call the pipeline and return the part of its image that was asked for.

    arguments: those of the call beyond size and noise.
    """
    width, height = canvas.working
    steps = arguments["num_inference_steps"]

    def on_step_end(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if run.show:
            velocity = tensors.pop("noise_pred")
            end = tensors["latents"] - pipeline.scheduler.sigmas[step + 1] * velocity
            colours = colours_of(pipeline.vae, pipeline.vae_scale_factor)
            run.show(preview(unpack(pipeline, end, canvas), colours))
        run.on_step(step + 1, steps)
        return tensors

    if run.show:
        # They have it at hand in every step, and merely do not offer it.
        pipeline._callback_tensor_inputs = ["latents", "noise_pred"]
        arguments["callback_on_step_end_tensor_inputs"] = ["latents", "noise_pred"]
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
