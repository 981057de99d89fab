"""How well the published weights obey: unseen prompts through the product's models, judged by the checker.

The pictures are drawn by `Model.load` and `Model.generate`, as a worker draws them. The sheet shows
the first pictures of the run, good and bad ones as they come.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from safelight.engine.weights import Loader
from safelight.models.base import Model, Run
from safelight.models.z_image_controlnet import ZImageControlNet
from training import maps
from training.captions import GROUND_WORDS, KIND_WORDS, SKY_WORDS, article, pick
from training.checker import View, agrees, look
from training.paint import draw
from training.world import Scene

DOCS: Final = Path(__file__).parents[1] / "docs"
PRESETS: Final = {
    "square": (512, 512),
    "landscape_4_3": (1024, 768),
    "portrait_16_9": (576, 1024),
    "square_hd": (1024, 1024),
    "landscape_16_9": (1024, 576),
    "portrait_4_3": (768, 1024),
}
NEAR: Final = 0.12
"""An object is where another one is when their middles are this near, as a share of each side."""
KINDS_OF_CONTROL: Final = ("edges", "depth", "shape")
SHOWN: Final = 24


@dataclass
class Trial:
    """One prompt, what was given, and what came of it."""

    scene: Scene
    prompt: str
    size: tuple[int, int]
    given: NDArray[np.uint8]
    drawn: NDArray[np.uint8]
    view: View = field(init=False)

    def __post_init__(self) -> None:
        self.view = look([self.drawn])[0]

    @property
    def right(self) -> dict[str, bool]:
        """What is as the prompt says."""
        return agrees(self.view, self.scene)

    @property
    def obeys(self) -> bool:
        """Sky, ground, and an object of the asked kind in the asked colour."""
        right = self.right
        return right["sky"] and right["ground"] and right["colour"]

    @property
    def in_place(self) -> bool:
        """Whether the asked kind of object is where the control image has one."""
        return is_near(self.view, self.scene, self.scene, self.size)


def evaluate(prompts: int, seed: int) -> None:
    """Measure, print the table, and write it with the sheet into docs/."""
    began = time.monotonic()
    rows = [("the checker on true pictures: sky, ground, object in its colour", *own_error(prompts, seed))]
    loader = Loader(ZImageControlNet.weights.nano, "cpu", {})
    model = ZImageControlNet()
    pipeline = model.load(loader)
    trials = list(controlled(model, pipeline, loader, prompts, seed, control_scale=0.9))
    free = list(controlled(model, pipeline, loader, prompts // 2, seed, control_scale=0, presets=("square",)))
    rows.append(("Z-Image ControlNet: sky, ground, object in its colour", *share([t.obeys for t in trials])))
    rows += [
        (f"— {name} alone", *share([trial.right[name] for trial in trials]))
        for name in ("sky", "ground", "object", "colour")
    ]
    rows.append(("its object where the control image has one", *share([trial.in_place for trial in trials])))
    rows.append(("the same with control_scale 0", *share([trial.in_place for trial in free])))
    rows.append(("the same by chance (control images of other prompts)", *share(list(chance(free)))))
    minutes = (time.monotonic() - began) / 60
    report(rows, trials, prompts, seed, minutes)


def own_error(prompts: int, seed: int) -> tuple[float, int]:
    """How often the checker is right on what the world's program painted."""
    scenes = [Scene.random(rng, 1) for rng in _generators(prompts, seed)]
    views = look([draw(scene, *size) for scene, size in zip(scenes, _sizes(prompts), strict=True)])
    right = [agrees(view, scene) for view, scene in zip(views, scenes, strict=True)]
    return share([row["sky"] and row["ground"] and row["colour"] for row in right])


def controlled(
    model: Model,
    pipeline: Any,
    loader: Loader,
    prompts: int,
    seed: int,
    control_scale: float,
    presets: tuple[str, ...] = tuple(PRESETS),
) -> Iterator[Trial]:
    """Draw each prompt with a control image of its scene, in the API's default window."""
    bar = tqdm(
        _generators(prompts, seed), total=prompts, desc=f"control_scale {control_scale}", mininterval=2
    )
    for number, rng in enumerate(bar):
        scene = Scene.random(rng, 1)
        preset = presets[number % len(presets)]
        size = PRESETS[preset]
        given = maps.control(scene, draw(scene, *size), KINDS_OF_CONTROL[number % 3])
        prompt = without_place(scene, rng)
        request = model.Input.model_validate(
            {
                "prompt": prompt,
                "image_url": "https://example.org/control.png",
                "loras": [],
                "image_size": preset,
                "control_scale": control_scale,
            }
        )
        drawn = run(model, pipeline, loader, request, number, image_url=given)
        yield Trial(scene, prompt, size, given, drawn)


def run(
    model: Model, pipeline: Any, loader: Loader, request: Any, seed: int, **images: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """One request as a worker runs it: uint8 (H, W, 3)."""
    given = {name: (Image.fromarray(image),) for name, image in images.items()}
    found = model.generate(
        pipeline, request, Run(loader, seed, given, on_step=lambda *_: None, note=lambda _: None)
    )
    return np.asarray(found[0])


def without_place(scene: Scene, rng: np.random.Generator) -> str:
    """A prompt that leaves the place to the control image."""
    (thing,) = scene.things
    kind = pick(KIND_WORDS[thing.kind], rng)
    around = f"{pick(GROUND_WORDS[scene.ground], rng)} {pick(SKY_WORDS[scene.sky], rng)}"
    return f"{article(thing.colour)} {thing.colour} {kind} {around}"


def is_near(view: View, asked: Scene, control: Scene, size: tuple[int, int]) -> bool:
    """Whether the asked kind of object is where the control image's scene has its own."""
    left, top, right, bottom = maps.box(control, *size)
    x, y = (left + right) / 2 / size[0], (top + bottom) / 2 / size[1]
    (thing,) = asked.things
    return any(
        abs(seen.middle[0] - x) < NEAR and abs(seen.middle[1] - y) < NEAR
        for seen in view.things
        if seen.kind == thing.kind
    )


def chance(trials: list[Trial]) -> Iterator[bool]:
    """The same question asked of the control images of other prompts."""
    for shift in (1, 2, 3):
        for trial, other in zip(trials, trials[shift:] + trials[:shift], strict=True):
            yield is_near(trial.view, trial.scene, other.scene, trial.size)


def share(right: list[bool]) -> tuple[float, int]:
    """The share of the right ones, and of how many."""
    return float(np.mean(right)), len(right)


def report(
    rows: list[tuple[str, float, int]], trials: list[Trial], prompts: int, seed: int, minutes: float
) -> None:
    """Print the table; write it between the marks in docs/nano.md, and the sheet beside it."""
    lines = ["| measured | right | of |", "|---|---|---|"]
    lines += [f"| {name} | {value:.1%} | {count} |" for name, value, count in rows]
    lines += ["", f"`python -m training evaluate --prompts {prompts} --seed {seed}`, {minutes:.0f} minutes."]
    print("\n".join(lines))
    page = DOCS / "nano.md"
    text = page.read_text()
    before, _, rest = text.partition("<!-- measured -->\n")
    after = rest.partition("<!-- /measured -->")[2]
    page.write_text(f"{before}<!-- measured -->\n" + "\n".join(lines) + f"\n<!-- /measured -->{after}")
    (DOCS / "images").mkdir(exist_ok=True)
    Image.fromarray(sheet(trials[:SHOWN])).save(DOCS / "images" / "nano-sheet.jpg", quality=88)


def sheet(trials: list[Trial], columns: int = 6, side: int = 256) -> NDArray[np.uint8]:
    """Control image and picture of each trial, its prompt below, a mark where it did not obey."""
    cells = [_cell(trial, side) for trial in trials]
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, 0)


def _cell(trial: Trial, side: int) -> NDArray[np.uint8]:
    cell = np.full((2 * side + 62, side + 8, 3), 255, np.uint8)
    for row, picture in enumerate((trial.given, trial.drawn)):
        scale = side / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        h, w = small.shape[:2]
        top, left = row * (side + 4) + (side - h) // 2 + 2, (side - w) // 2 + 4
        cell[top : top + h, left : left + w] = small
    words, lines = trial.prompt.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 36:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    colour = (30, 30, 30) if trial.obeys and trial.in_place else (190, 30, 30)
    for index, line in enumerate(lines[:3]):
        at = (6, 2 * side + 22 + 16 * index)
        cv2.putText(cell, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    return cell


def _generators(prompts: int, seed: int) -> list[np.random.Generator]:
    """One source of chance per prompt, apart from those of the training."""
    return [np.random.default_rng([seed, 77, number]) for number in range(prompts)]


def _sizes(prompts: int) -> list[tuple[int, int]]:
    return [list(PRESETS.values())[number % len(PRESETS)] for number in range(prompts)]
