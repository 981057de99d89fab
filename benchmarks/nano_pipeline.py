"""Our model against the plain diffusers call: the same pipeline, the same weights, equal bytes.

    python -m benchmarks.nano_pipeline [--rounds 10] [--size square] [--steps 8]

In one process, interleaved; neither encodes its image. Ours adds what a job needs: sizes, the control window,
a report of each step and a look at the prompt's length.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image, ImageDraw
from uvloop import run

from benchmarks._harness import Round, console, interleave, show, show_machine
from safelight.engine.weights import Loader
from safelight.inputs import PIXELS
from safelight.models.base import Run
from safelight.models.z_image_controlnet import ControlNetInput, ZImageControlNet

PROMPT = "a red house on green grass under a blue sky"
SCALE = 0.9


def _control_image(size: tuple[int, int]) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size)
    house = (width // 3, height // 3, width * 2 // 3, height * 3 // 4)
    ImageDraw.Draw(image).rectangle(house, outline="white")
    return image


class Contest:
    """One pipeline, called in two ways."""

    def __init__(self, size: str, steps: int) -> None:
        self._model = ZImageControlNet()
        self._context = Loader(self._model.weights.nano, "auto", {})
        self._pipeline: Any = self._model.load(self._context)
        self._picture = _control_image(PIXELS[size])
        self._request = ControlNetInput.parse(
            {
                "prompt": PROMPT,
                "image_url": "https://example.com/control.png",
                "loras": [],
                "image_size": size,
                "control_scale": SCALE,
                "control_end": 1,
                "num_inference_steps": steps,
            }
        )

    def ours(self) -> Image.Image:
        """The model, as a worker's child calls it."""
        job = Run(
            context=self._context,
            seed=0,
            images={"image_url": [self._picture]},
            on_step=lambda step, steps: None,
            note=lambda sentence: None,
        )
        return self._model.generate(self._pipeline, self._request, job)[0]

    def plain(self) -> Image.Image:
        """diffusers, as its documentation calls it."""
        width, height = self._picture.size
        image: Image.Image = self._pipeline(
            PROMPT,
            control_image=self._picture,
            controlnet_conditioning_scale=SCALE,
            width=width,
            height=height,
            num_inference_steps=self._request.num_inference_steps,
            guidance_scale=0.0,
            generator=torch.Generator("cpu").manual_seed(0),
        ).images[0]
        return image


def _timed(draw: Callable[[], Image.Image]) -> Round:
    async def run_once() -> list[float]:
        started_s = time.perf_counter()
        draw()
        return [time.perf_counter() - started_s]

    return run_once


async def _measure(rounds: int, size: str, steps: int) -> None:
    contest = Contest(size, steps)
    equal = contest.ours().tobytes() == contest.plain().tobytes()
    contestants = {"diffusers": _timed(contest.plain), "ours": _timed(contest.ours)}
    samples = await interleave(rounds, contestants)
    show(f"{size}, {steps} steps, nano weights; equal bytes: {equal}", samples, against="diffusers")
    ratio = min(samples["ours"]) / min(samples["diffusers"])
    console.print(f"time of ours / diffusers, best of each: {ratio:.3f} (goal 1.02)")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--size", choices=sorted(PIXELS), default="square")
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    show_machine()
    run(_measure(arguments.rounds, arguments.size, arguments.steps))


if __name__ == "__main__":
    main()
