"""What the tests of the two Z-Image models have in common."""

from __future__ import annotations

import torch
from diffusers import ZImageControlNetModel, ZImageTransformer2DModel
from PIL import Image, ImageDraw

from safelight.models.base import Run

PROMPT = "a red ball"


def picture(width=512, height=512, colour="red"):
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).ellipse((width // 5, height // 5, width * 4 // 5, height * 4 // 5), fill=colour)
    return image


def same(one, other):
    return one.size == other.size and one.tobytes() == other.tobytes()


def run_with(loader, images, *, seed=0, on_step=lambda step, steps: None, notes=None, **more):
    return Run(
        context=loader,
        seed=seed,
        images={name: [image] for name, image in images.items()},
        on_step=on_step,
        note=(notes if notes is not None else []).append,
        **more,
    )


def stock(pipeline_class, pipeline, weights, controlnet=None):
    """One of diffusers' own pipelines on the same weights as ours, with none of our classes."""
    parts = {name: part for name, part in pipeline.components.items() if name != "controlnet"}
    parts["transformer"] = ZImageTransformer2DModel.from_pretrained(
        weights / "z-image" / "transformer"
    ).eval()
    if controlnet or "controlnet" in pipeline_class.__init__.__annotations__:
        folder = weights / "z-image" / "controlnet"
        parts["controlnet"] = controlnet or ZImageControlNetModel.from_pretrained(folder).eval()
    made = pipeline_class(**parts)
    made.set_progress_bar_config(disable=True)
    return made


def draw_stock(pipeline, size=(512, 512), steps=2, seed=0, **arguments):
    width, height = size
    return pipeline(
        PROMPT,
        width=width,
        height=height,
        num_inference_steps=steps,
        guidance_scale=0.0,
        generator=torch.Generator("cpu").manual_seed(seed),
        **arguments,
    ).images[0]
