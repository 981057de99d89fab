"""The weights in the package, through the product's own models, judged by the checker.

A handful of prompts; `make evaluate` asks 200. Seeds are fixed, so each picture is always the same.
"""

from functools import cache
from typing import Any

import numpy as np
import pytest

from safelight.engine.weights import NANO_DIR
from safelight.models.z_image_controlnet import ZImageControlNet
from training.checker import look
from training.evaluate import checker
from training.paint import draw
from training.sampling import pictures, sample
from training.trials import ADDRESS, Drawer, Trial, controlled
from training.world import Scene

PACKAGE_LIMIT_BYTES = 24_000_000


@cache
def drawer() -> Drawer:
    return Drawer(ZImageControlNet())


def trials(count: int, **how: Any) -> list[Trial]:
    return list(controlled(drawer(), count, seed=1, presets=("square",), **how))


@pytest.fixture(scope="module")
def guided() -> list[Trial]:
    return trials(8, control_scale=0.9)


def test_the_checker_is_right_on_true_pictures() -> None:
    (row,), _ = checker(24, seed=5)
    assert row.right >= 0.9


def test_sky_and_ground_are_as_the_prompt_says(guided: list[Trial]) -> None:
    assert sum(trial.right["sky"] for trial in guided) >= 7
    assert sum(trial.right["ground"] for trial in guided) >= 7


def test_the_control_image_says_where_the_object_stands(guided: list[Trial]) -> None:
    free = trials(8, control_scale=0)
    assert sum(trial.in_place for trial in guided) > sum(trial.in_place for trial in free)


def test_an_empty_meadow_shows_no_object() -> None:
    (scene,) = (Scene.random(np.random.default_rng(3), 1),)
    assert look([draw(scene.with_things(), 512, 512)])[0].things == ()


def test_all_nano_weights_together_are_small() -> None:
    assert sum(path.stat().st_size for path in NANO_DIR.rglob("*") if path.is_file()) <= PACKAGE_LIMIT_BYTES


def test_training_samples_what_the_product_draws() -> None:
    prompt, size = "a red house on snow at night", (512, 512)
    fields = {"prompt": prompt, "image_url": ADDRESS, "loras": [], "image_size": "square", "control_scale": 0}
    grey = np.full((512, 512, 3), 128, np.uint8)
    drawn = drawer().draw(fields, 5, images={"image_url": (grey,)})
    (sampled,) = pictures(sample(drawer().pipeline.transformer, [prompt], size, seed=5))
    assert np.abs(sampled.astype(int) - drawn).mean() < 4
