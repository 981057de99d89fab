"""Requests to the product's own models, drawn as a worker draws them, and judged by the checker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from safelight.engine.expansion import expand_prompt
from safelight.engine.weights import Loader
from safelight.loras.references import LoraFile
from safelight.models.base import Model, Run, RunReport
from safelight.models.wan_image_to_image import WAN_PIXELS
from safelight.worker.lora_cache import hash_of
from training import maps
from training.captions import GROUND_WORDS, KIND_WORDS, SKY_WORDS, article, pick, plain_caption
from training.checker import View, agrees, look
from training.mixtures import Lesson, Task
from training.paint import draw
from training.published import NANO
from training.world import GROUNDS, KINDS, SKIES, Scene, Thing

Picture = NDArray[np.uint8]

PRESETS: Final = {
    "square": (512, 512),
    "landscape_4_3": (1024, 768),
    "portrait_16_9": (576, 1024),
    "square_hd": (1024, 1024),
    "landscape_16_9": (1024, 576),
    "portrait_4_3": (768, 1024),
}
WAN_SIZES: Final = ("1024*1024 (1:1)", "1200*800 (3:2)", "720*1280 (9:16)", "1344*576 (21:9)")
NEAR: Final = 0.12
"""An object is where another one is when their middles are this near, as a share of each side."""
KINDS_OF_CONTROL: Final = ("edges", "depth", "shape")
ADDRESS: Final = "https://example.org/image.png"
"""Stands for the images, which are handed over as they are."""


@dataclass(frozen=True)
class Trial:
    """One request, what was given with it, and what came of it. scene: what the prompt asks for."""

    scene: Scene
    prompt: str
    size: tuple[int, int]
    given: tuple[Picture, ...]
    drawn: Picture
    view: View = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "view", look([self.drawn])[0])

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


class Drawer:
    """One of the product's models, loaded with the weights in the package."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.loader = Loader(model.weights.nano, "cpu", {})
        self.pipeline = model.load(self.loader)

    def draw(
        self,
        fields: dict[str, Any],
        seed: int,
        images: dict[str, tuple[Picture, ...]],
        loras: tuple[LoraFile, ...] = (),
        report: RunReport | None = None,
    ) -> Picture:
        """One request as a worker runs it: uint8 (H, W, 3)."""
        request = self.model.Input.model_validate(fields)
        given = {name: tuple(map(Image.fromarray, many)) for name, many in images.items()}
        run = replace(self._run(seed), images=given, loras=loras, report=report or RunReport())
        return np.asarray(self.model.generate(self.pipeline, request, run)[0])

    def expand(self, prompt: str, seed: int) -> str:
        """What magic prompt makes of a prompt."""
        return expand_prompt(self.pipeline, self._run(seed), prompt)

    def _run(self, seed: int) -> Run:
        return Run(self.loader, seed, {}, on_step=lambda *_: None, note=lambda _: None)


def sources(prompts: int, seed: int, shown: str = "") -> Iterator[tuple[int, np.random.Generator]]:
    """Number and source of chance of each prompt, apart from those of the training."""
    bar = tqdm(range(prompts), desc=shown, mininterval=2, disable=not shown)
    return ((number, np.random.default_rng([seed, 77, number])) for number in bar)


def controlled(
    drawer: Drawer,
    prompts: int,
    seed: int,
    control_scale: float,
    presets: tuple[str, ...] = tuple(PRESETS),
) -> Iterator[Trial]:
    """Draw each prompt with a control image of its scene, in the API's default window."""
    for number, rng in sources(prompts, seed, f"control_scale {control_scale}"):
        scene = Scene.random(rng, 1)
        preset = presets[number % len(presets)]
        size = PRESETS[preset]
        given = maps.control(scene, draw(scene, *size), KINDS_OF_CONTROL[number % 3])
        prompt = plain_caption(scene, rng)
        fields = {"prompt": prompt, "image_url": ADDRESS, "loras": [], "image_size": preset}
        drawn = drawer.draw(
            {**fields, "control_scale": control_scale}, number, images={"image_url": (given,)}
        )
        yield Trial(scene, prompt, size, (given,), drawn)


def inpainted(drawer: Drawer, prompts: int, seed: int) -> Iterator[tuple[Trial, Picture]]:
    """Put another object into the place of a picture's own; with each trial its mask."""
    presets = list(PRESETS)
    for number, rng in sources(prompts, seed, "inpainting"):
        before = Scene.random(rng, 1)
        preset = presets[number % len(presets)]
        size = PRESETS[preset]
        (old,) = before.things
        new = type(old).random(rng, old.place, str(rng.choice([k for k in KINDS if k != old.kind])))
        after = before.with_things(new)
        picture = draw(before, *size)
        mask = hole(before, after, size)
        prompt = f"{article(new.colour)} {new.colour} {pick(KIND_WORDS[new.kind], rng)}"
        fields = {"prompt": prompt, "image_url": ADDRESS, "mask_image_url": ADDRESS, "image_size": "auto"}
        drawn = drawer.draw(fields, number, images={"image_url": (picture,), "mask_image_url": (_rgb(mask),)})
        given = np.where(mask[..., None] > 0, np.uint8(255), picture)
        yield Trial(after, prompt, size, (given,), drawn), mask


def hole(before: Scene, after: Scene, size: tuple[int, int]) -> Picture:
    """A mask with room for both scenes' objects: a box, white, (H, W)."""
    boxes = [maps.box(scene, *size) for scene in (before, after)]
    left, top = (min(box[side] for box in boxes) for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
    grow = round(0.03 * min(size))
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[max(top - grow, 0) : bottom + grow, max(left - grow, 0) : right + grow] = 255
    return mask


def guided(drawer: Drawer, prompts: int, seed: int) -> Iterator[tuple[Trial, bool]]:
    """Ovis: draw each prompt away from a sky or a ground; with each trial whether that is absent."""
    presets = list(PRESETS)
    for number, rng in sources(prompts, seed, "Ovis-Image"):
        scene = Scene.random(rng, 1)
        preset = presets[number % len(presets)]
        prompt = plain_caption(scene, rng)
        away_from_sky = number % 2 == 0
        unwanted = str(
            rng.choice(
                [sky for sky in SKIES if sky != scene.sky]
                if away_from_sky
                else [ground for ground in GROUNDS if ground != scene.ground]
            )
        )
        words = (SKY_WORDS if away_from_sky else GROUND_WORDS)[unwanted]
        fields = {"prompt": prompt, "negative_prompt": pick(words, rng), "image_size": preset}
        trial = Trial(scene, prompt, PRESETS[preset], (), drawer.draw(fields, number, images={}))
        yield trial, (trial.view.sky if away_from_sky else trial.view.ground) != unwanted


def combined(drawer: Drawer, prompts: int, seed: int) -> Iterator[tuple[Trial, Trial]]:
    """klein: an object of one reference in the scene of the other, and the same with both exchanged."""
    for number, rng in sources(prompts, seed, "klein"):
        lesson = Lesson.random(rng, Task.MOVE)
        prompt = f"the object of image {lesson.of[0] + 1} in the scene of image {lesson.into + 1}"
        size = WAN_SIZES[number % len(WAN_SIZES)]
        fields = {"prompt": prompt, "image_urls": [ADDRESS] * 2, "image_size": size, "prompt_extend": False}
        trials = []
        for given in (lesson, lesson.exchanged()):
            references = tuple(draw(scene, 512, 512) for scene in given.references)
            drawn = drawer.draw(fields, number, images={"image_urls": references})
            trials.append(Trial(given.target, prompt, WAN_PIXELS[size], references, drawn))
        yield trials[0], trials[1]


def styled(drawer: Drawer, name: str, scale: float, prompts: int, seed: int) -> list[Picture]:
    """Pictures with an example LoRA at a scale; the same prompts at every scale."""
    path = NANO / "z-image" / "loras" / f"{name}.safetensors"
    sha256 = hash_of(path)
    found = []
    for number, rng in sources(prompts, seed):
        scene = Scene.random(rng, 1)
        fields = {
            "prompt": plain_caption(scene, rng),
            "image_url": ADDRESS,
            "loras": [],
            "image_size": "square",
            "control_scale": 0,
        }
        loras = (LoraFile(f"safelight/{name}", "lora", scale, str(path), sha256),) if scale else ()
        grey = np.full((512, 512, 3), 128, np.uint8)
        found.append(drawer.draw(fields, number, images={"image_url": (grey,)}, loras=loras))
    return found


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
    """Whether the object is in place by chance: where the same prompt's scene could also have had it."""
    for number, trial in enumerate(trials):
        rng = np.random.default_rng([number, 78])
        (thing,) = trial.scene.things
        for _ in range(3):
            elsewhere = trial.scene.with_things(Thing.random(rng, kind=thing.kind))
            yield is_near(trial.view, trial.scene, elsewhere, trial.size)


def _rgb(mask: Picture) -> Picture:
    return cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB).astype(np.uint8)
