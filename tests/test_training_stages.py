"""The loop that every stage runs in, and what the image models' stages ask of a model."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from safelight.engine import klein
from safelight.models.wan_image_to_image import WAN_PIXELS
from training import stage
from training.captions import GROUND_WORDS, PLACE_WORDS, SIZE_WORDS, plain_caption
from training.flow import matrices_of
from training.klein import MULTIPLE, ROLES, new_klein, reference_size, roles_of
from training.mixtures import Lesson, Task
from training.ovis import new_ovis
from training.stage import Recipe, Stage, train, trained
from training.transformer import new_transformer
from training.tutor import Tutor
from training.world import Scene


class Mirror(Stage):
    """Learns to give back what it is given."""

    name = "mirror"
    recipe = Recipe(warmup_steps=1)

    def __init__(self) -> None:
        self.module = nn.Linear(8, 8)
        self.tutors = nn.ModuleList([nn.Linear(8, 1)])

    def matrices(self) -> list[nn.Parameter]:
        return [self.module.weight]

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        given = torch.from_numpy(rng.standard_normal((64, 8))).float()
        said = self.module(given)
        return (said - given).square().mean() + self.tutors[0](said).square().mean()

    def report(self, module: nn.Module, folder) -> str:
        return "none"


STEP_S = 0.0625


@pytest.fixture(autouse=True)
def checkpoints(tmp_path, monkeypatch):
    """A folder of its own, and a clock by which every step takes as long as the others."""
    monkeypatch.setattr(stage, "CHECKPOINTS", tmp_path)
    ticks = count()
    monkeypatch.setattr(stage.time, "monotonic", lambda: next(ticks) * STEP_S)


def test_a_stage_learns_and_goes_on_where_it_stopped() -> None:
    torch.manual_seed(0)
    train(Mirror(), 96 * STEP_S / 60)
    first = trained("mirror")
    train(Mirror(), 288 * STEP_S / 60)
    second = trained("mirror")
    assert (first["steps"], second["steps"]) == (96, 288)
    assert second["loss"] < first["loss"] / 2


def test_a_checkpoint_keeps_both_optimisers_and_the_tutors() -> None:
    train(Mirror(), 10 * STEP_S / 60)
    kept = trained("mirror")
    usual, matrices = kept["optimizers"]
    assert [len(usual["state"]), len(matrices["state"])] == [3, 1]  # two biases, the tutor's weight; ours
    assert matrices["state"][0]["momentum_buffer"].abs().sum() > 0
    assert {name for name, _ in Mirror().tutors.named_parameters()} == set(kept["tutors"])


@pytest.mark.parametrize("make", [new_transformer, new_ovis, new_klein])
def test_muon_teaches_the_blocks_products_and_no_modulation(make) -> None:
    model = make()
    blocks = [
        block
        for name in ("layers", "noise_refiner", "transformer_blocks", "single_transformer_blocks")
        for block in getattr(model, name, ())
    ]
    found = matrices_of(blocks)
    assert all(matrix.ndim == 2 and matrix.any() for matrix in found)  # modulations begin at zero
    taught = sum(matrix.numel() for matrix in found)
    assert taught > 0.5 * sum(weight.numel() for weight in model.parameters())


def test_a_plain_caption_says_nothing_of_size_and_place() -> None:
    around = {word for words in GROUND_WORDS.values() for text in words for word in text.split()}
    told = (
        {
            word
            for table in (SIZE_WORDS, PLACE_WORDS)
            for words in table.values()
            for text in words
            for word in text.split()
        }
        - around
        - {"the"}
    )
    for number in range(40):
        rng = np.random.default_rng(number)
        assert not told & set(plain_caption(Scene.random(rng), rng).split())


@pytest.mark.parametrize("task", list(Task))
def test_the_roles_of_references_are_what_the_prompt_wants_of_them(task: Task) -> None:
    lesson = Lesson.random(np.random.default_rng(3), task)
    roles = roles_of(lesson, 12, 12).reshape(len(lesson.references), 12 * 12, ROLES) / 255
    for number, (cover, wanted, scene) in enumerate(roles.transpose(0, 2, 1)):
        assert cover.max() > 0.9
        assert np.array_equal(wanted, cover if number in lesson.of else np.zeros_like(cover))
        assert set(scene) == {float(number == lesson.into)}


def test_what_is_moved_stays_as_far_from_the_middle_as_it_was() -> None:
    lesson = Lesson.random(np.random.default_rng(5), Task.MOVE, wide=0.5)
    (wanted,), (moved,) = lesson.references[lesson.of[0]].things, lesson.target.things
    assert moved == replace(wanted, x=pytest.approx(0.5 + (wanted.x - 0.5) / 2))
    assert lesson.target.sky == lesson.references[lesson.into].sky


def test_exchanged_references_ask_for_another_picture() -> None:
    lesson = Lesson.random(np.random.default_rng(5), Task.MOVE)
    other = lesson.exchanged()
    assert other.references == lesson.references[::-1]
    assert (
        other.prompt(np.random.default_rng(1)).split()[-1]
        == lesson.prompt(np.random.default_rng(1)).split()[-1]
    )
    assert (other.target.things, other.target.sky) == (
        lesson.references[lesson.into].things,
        lesson.references[lesson.of[0]].sky,
    )


@pytest.mark.parametrize("size", WAN_PIXELS)
def test_references_of_every_shape_fit_into_the_canvas_by_whole_tokens(size: str) -> None:
    canvas = klein.canvas(klein.NANO, WAN_PIXELS[size], MULTIPLE)
    for ratio in (1.0, 4 / 3, 3 / 4):
        taken = reference_size(canvas, ratio)
        fitted = klein.reference(Image.new("RGB", (round(900 * ratio), 900)), klein.NANO, canvas.asked)
        assert taken == tuple(side // MULTIPLE * MULTIPLE for side in fitted.size)


def test_a_tutor_is_content_with_the_truth_alone() -> None:
    tutor, layer = Tutor(4, asked=4, covers=1), nn.Identity()
    tutor.head = nn.Identity()
    truth = (torch.rand(2, 5, 4) > 0.5).float()
    said = torch.cat([torch.zeros(2, 3, 4), (truth * 2 - 1) * 20], 1)
    with tutor.listening(layer):
        layer(said)
    assert float(tutor.loss(truth, first=3)) < 1e-6
    assert float(tutor.loss(1 - truth, first=3)) > 10
