"""Our encoders against Pillow's default PNG: one picture of 1024×1024, as hard as a photograph, equal pixels.

    python -m benchmarks.encoders [--rounds 20]

They run beside the model, but on the same cores as everything else.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from io import BytesIO

from PIL import Image
from uvloop import run

from benchmarks._harness import Round, console, interleave, median, show, show_machine
from benchmarks.models.sleeper import photograph
from safelight.images import codec

GOAL = 2.0


def _default_png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _timed(encode: Callable[[], bytes]) -> Round:
    async def run_once() -> list[float]:
        started_s = time.perf_counter()
        encode()
        return [time.perf_counter() - started_s]

    return run_once


async def _measure(rounds: int) -> None:
    image = photograph()
    encoders: dict[str, Callable[[], bytes]] = {
        "Pillow's default PNG": lambda: _default_png(image),
        "PNG": lambda: codec.encode(image, "png"),
        "WebP, lossless": lambda: codec.encode(image, "webp"),
        "JPEG 95": lambda: codec.encode(image, "jpeg"),
    }
    samples = await interleave(rounds, {name: _timed(encode) for name, encode in encoders.items()})
    show("one picture of 1024×1024", samples, against="Pillow's default PNG")
    for name, encode in encoders.items():
        data = encode()
        equal = Image.open(BytesIO(data)).convert("RGB").tobytes() == image.tobytes()
        times = median(samples["Pillow's default PNG"]) / median(samples[name])
        console.print(
            f"{name:>22}: {len(data) / 1e6:.2f} MB, equal pixels: {equal}, {times:.1f} × (goal {GOAL})"
        )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    show_machine()
    run(_measure(arguments.rounds))


if __name__ == "__main__":
    main()
