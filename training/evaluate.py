"""How well the published weights obey: unseen prompts through the product's models, judged by the checker.

One function per model gives rows of the table and trials for its sheet: the first of the run, good and bad
ones as they come. Models whose weights are not in the package are left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.models.z_image_inpainting import ZImageInpainting
from training.captions import short_caption
from training.checker import agrees, look
from training.gallery import sheet
from training.paint import draw
from training.published import NANO
from training.trials import (
    PRESETS,
    Drawer,
    Trial,
    chance,
    combined,
    controlled,
    guided,
    inpainted,
    sources,
    styled,
)
from training.world import COLOURS, KINDS, Scene

DOCS: Final = Path(__file__).parents[1] / "docs"
SHOWN: Final = 24
SCALES: Final = (0.0, 0.5, 1.0, 1.5, 2.0)
STYLED: Final = 8
"""Prompts per scale of a LoRA."""


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, the share that was right, of how many."""

    name: str
    right: float
    count: int

    @staticmethod
    def of(name: str, right: list[bool]) -> Row:
        """Count them."""
        return Row(name, float(np.mean(right)), len(right))


Part = tuple[list[Row], list[tuple[Trial, bool]]]
"""Rows of the table, and trials to show with whether they were right."""


def evaluate(prompts: int, seed: int, names: tuple[str, ...] = ()) -> None:
    """Measure all models, or those named; print the table, and write each part with its sheet into docs/."""
    for name in names or MODELS:
        began = time.monotonic()
        found = MODELS[name](prompts, seed)
        if found is None:
            print(f"{name}: its weights are not in the package")
            continue
        rows, trials = found
        how = f"`python -m training evaluate {name} --prompts {prompts} --seed {seed}`"
        report(name, rows, f"{how}, {(time.monotonic() - began) / 60:.0f} minutes.")
        if trials:
            picture = Image.fromarray(sheet(trials[:SHOWN]))
            picture.save(DOCS / "images" / f"nano-{name}.jpg", quality=86)


def checker(prompts: int, seed: int) -> Part:
    """How often the checker is right on what the world's program painted."""
    sizes = list(PRESETS.values())
    scenes = [Scene.random(rng, 1) for _, rng in sources(prompts, seed)]
    views = look([draw(scene, *sizes[number % len(sizes)]) for number, scene in enumerate(scenes)])
    right = [agrees(view, scene) for view, scene in zip(views, scenes, strict=True)]
    both = [row["sky"] and row["ground"] and row["colour"] for row in right]
    return [Row.of("the checker on true pictures: sky, ground, object in its colour", both)], []


def z_image(prompts: int, seed: int) -> Part:
    """Prompt and control image at all sizes; the same without control; by chance."""
    drawer = Drawer(ZImageControlNet())
    trials = list(controlled(drawer, prompts, seed, control_scale=0.9))
    free = list(controlled(drawer, prompts // 2, seed, control_scale=0, presets=("square",)))
    rows = [
        Row.of("Z-Image ControlNet: sky, ground, object in its colour", [t.obeys for t in trials]),
        *parts_of(trials),
        Row.of("its object where the control image has one", [t.in_place for t in trials]),
        Row.of("the same with control_scale 0", [t.in_place for t in free]),
        Row.of("the same by chance (where the prompt could also have had it)", list(chance(free))),
    ]
    return rows, [(trial, trial.obeys and trial.in_place) for trial in trials]


def inpainting(prompts: int, seed: int) -> Part:
    """Another object in the mask; what is outside it, to the byte."""
    pairs = list(inpainted(Drawer(ZImageInpainting()), prompts, seed))
    asked = [trial.right["colour"] for trial, _ in pairs]
    kept = [bool((trial.drawn == trial.given[0])[mask == 0].all()) for trial, mask in pairs]
    rows = [
        Row.of("inpainting: the asked object, in its colour, in the mask", asked),
        Row.of("— the asked kind alone", [trial.right["object"] for trial, _ in pairs]),
        Row.of("outside the mask every pixel as it was", kept),
    ]
    return rows, [(trial, right) for (trial, _), right in zip(pairs, asked, strict=True)]


def loras(prompts: int, seed: int) -> Part | None:
    """Whether each style's own measure grows with the scale: between neighbouring scales, on average."""
    folder = NANO / "z-image" / "loras"
    if not folder.exists():
        return None
    drawer = Drawer(ZImageControlNet())
    rows = []
    for path in sorted(folder.glob("*.safetensors")):
        means = [
            float(np.mean([STYLES[path.stem](p) for p in styled(drawer, path.stem, scale, STYLED, seed)]))
            for scale in SCALES
        ]
        grows = [after > before for before, after in pairwise(means)]
        shown = ", ".join(f"{mean:.2f}" for mean in means)
        rows.append(Row.of(f"LoRA {path.stem}: grows from scale 0 to 2 ({shown})", grows))
    return rows, []


def ovis(prompts: int, seed: int) -> Part | None:
    """The prompt as for Z-Image, with guidance; what the negative prompt names is absent."""
    if OvisImage.weights.missing_nano():
        return None
    pairs = list(guided(Drawer(OvisImage()), prompts, seed))
    trials = [trial for trial, _ in pairs]
    rows = [
        Row.of("Ovis-Image: sky, ground, object in its colour", [t.obeys for t in trials]),
        *parts_of(trials),
        Row.of("what the negative prompt names is absent", [absent for _, absent in pairs]),
    ]
    return rows, [(trial, trial.obeys and absent) for trial, absent in pairs]


def klein(prompts: int, seed: int) -> Part | None:
    """The object of one reference in the scene of the other, and with both exchanged."""
    if WanImageToImage.weights.missing_nano():
        return None
    pairs = list(combined(Drawer(WanImageToImage()), prompts, seed))
    asked, exchanged = [first for first, _ in pairs], [second for _, second in pairs]
    rows = [
        Row.of("klein: the object of the named reference, in its colour", [t.right["colour"] for t in asked]),
        Row.of("— the same with the references exchanged", [t.right["colour"] for t in exchanged]),
        Row.of("— sky and ground of the other", [t.right["sky"] and t.right["ground"] for t in asked]),
    ]
    return rows, [(trial, trial.right["colour"]) for pair in pairs for trial in pair]


def magic(prompts: int, seed: int) -> Part:
    """Every kind and colour that a short prompt names is in what magic prompt makes of it."""
    drawer = Drawer(ZImageControlNet())
    kept, longer = [], []
    for number, rng in sources(prompts, seed):
        short = short_caption(Scene.random(rng), rng)
        expanded = drawer.expand(short, number)
        kept.append(words_of(short) & {*COLOURS, *KINDS} <= words_of(expanded))
        longer.append(expanded != short)
    rows = [
        Row.of("magic prompt: every named object and colour survives", kept),
        Row.of("— and the prompt became longer", longer),
    ]
    return rows, []


MODELS: Final[dict[str, Callable[[int, int], Part | None]]] = {
    "checker": checker,
    "z-image": z_image,
    "inpainting": inpainting,
    "loras": loras,
    "ovis": ovis,
    "klein": klein,
    "magic": magic,
}


def words_of(text: str) -> set[str]:
    """Its words, in lower case."""
    return set(re.findall(r"[a-z]+", text.lower()))


def parts_of(trials: list[Trial]) -> Iterator[Row]:
    """What is right by itself."""
    for name in ("sky", "ground", "object", "colour"):
        yield Row.of(f"— {name} alone", [trial.right[name] for trial in trials])


def warm_lights(picture: NDArray[np.uint8]) -> float:
    """The style of night-lights: how much darker than a bright picture, with warm lights in it."""
    light = picture.astype(np.float32).mean(2) / 255
    return float(1 - np.median(light))


def greyness(picture: NDArray[np.uint8]) -> float:
    """The style of pencil: one without any colour, zero with full ones."""
    return 1 - float(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 1].mean()) / 255


STYLES: Final = {"night-lights": warm_lights, "pencil": greyness}


def report(name: str, rows: list[Row], how: str) -> None:
    """Print a part of the table, and write it between its marks in docs/nano.md."""
    lines = ["| measured | right | of |", "|---|---|---|"]
    lines += [f"| {row.name} | {row.right:.1%} | {row.count} |" for row in rows]
    lines += ["", how]
    print("\n".join(lines))
    page = DOCS / "nano.md"
    before, found, rest = page.read_text().partition(f"<!-- {name} -->\n")
    if not found:
        raise SystemExit(f"docs/nano.md has no place for {name}: <!-- {name} --> … <!-- /{name} -->")
    end = f"<!-- /{name} -->"
    page.write_text(before + found + "\n".join(lines) + "\n" + end + rest.partition(end)[2])
