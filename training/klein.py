"""klein's transformer, which draws from reference pictures: Wan's local stand-in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import Flux2KleinPipeline, Flux2Transformer2DModel
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from safelight.engine import klein
from safelight.engine.canvas import Canvas, Size
from safelight.engine.klein import NANO as RECIPE
from safelight.engine.language_model import as_language_model
from safelight.models.wan_image_to_image import WAN_PIXELS
from training.autoencoder import FOLD
from training.flow import (
    DIM,
    DROPPED,
    TUTORED,
    FlowStage,
    from_tokens,
    grid,
    noised,
    silenced,
    to_tokens,
    weighed_error,
)
from training.latents import BANK, SHARD, cover_of, latents_of, scene_of, write
from training.mixtures import SHARES, Lesson, Task
from training.paint import draw
from training.published import published
from training.sampling import euler, pictures
from training.stage import Recipe, device, half_precision
from training.text_encoder import HIDDEN, text_encoder, tokenizer
from training.tutor import Tutor, answers

LENGTHS: Final = (64, 64, 96, RECIPE.max_tokens)
"""To how many tokens a batch's prompts are filled up; the pipeline always fills to the last of them."""
LAYERS: Final = (1, 2, 3)
"""The text encoder's layers that are read: `text_layers` of five."""
SHARES_OF_SIZES: Final = {size: 5 if size.startswith("1024*1024") else 1 for size in WAN_PIXELS}
"""How many shards of each of Wan's sizes a round holds."""
SHAPES: Final = (1.0, 1.0, 4 / 3, 3 / 4)
"""Width by height of the references, if it is not the target's own."""
ROLES: Final = 3
"""What is asked of each token of a reference."""
MULTIPLE: Final = 2 * FOLD
"""Pixels of a token's side."""
APART: Final = 10
"""How far apart in time the pipeline puts a picture's references."""
GUIDANCE: Final = RECIPE.guidance_scale
FOLDER: Final = BANK / "mixtures"


@dataclass(frozen=True)
class Mixtures:
    """Lessons of one task and size.

    latents: (N, 16, h, w). references: (N, R, 16, h', w'). cover, answers: as in `training.latents`.
    roles: what the prompt wants of each of the references' tokens, (N, tokens, 3), uint8: how much of it
    is object, how much is an object that is wanted, and whether it is of the scene that is wanted.
    """

    lessons: list[Lesson]
    latents: Tensor
    references: Tensor
    cover: Tensor
    answers: Tensor
    roles: Tensor


# --- The bank -------------------------------------------------------------------------------------------


def fill(rounds: int, seed: int) -> None:
    """Add rounds of 12 shards to the bank until it has this many."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    sizes = [WAN_PIXELS[size] for size, share in SHARES_OF_SIZES.items() for _ in range(share)]
    wanted = [(round_, part) for round_ in range(rounds) for part in range(len(sizes))]
    for round_, part in tqdm(wanted, desc="mixtures", unit="shard", mininterval=5):
        path = FOLDER / f"{round_:02}-{part:02}.pt"
        if not path.exists():
            write(path, _make(sizes[part], np.random.default_rng([seed, 2, round_, part])))


def _make(asked: Size, rng: np.random.Generator) -> dict[str, Any]:
    canvas = klein.canvas(RECIPE, asked, MULTIPLE)
    shape = reference_size(canvas, float(rng.choice(SHAPES)) if rng.random() < 0.7 else asked[0] / asked[1])
    task = Task(str(rng.choice(list(SHARES), p=list(SHARES.values()))))
    lessons = [Lesson.random(rng, task, shape[0] / canvas.working[0]) for _ in range(SHARD)]
    scenes = [scene for lesson in lessons for scene in lesson.references]
    references = latents_of([draw(scene, *shape) for scene in scenes])
    targets = [lesson.target for lesson in lessons]
    return {
        "lessons": json.dumps([asdict(lesson) for lesson in lessons]),
        "latents": latents_of([draw(scene, *canvas.working) for scene in targets]),
        "references": references.reshape(SHARD, -1, *references.shape[1:]),
        "cover": torch.from_numpy(np.stack([cover_of(scene, *canvas.working) for scene in targets])).half(),
    }


def reference_size(canvas: Canvas, ratio: float) -> Size:
    """The size of a reference of this width by height, when it fits into a canvas."""
    height = min(canvas.asked[1], canvas.asked[0] / ratio)
    width, height = (int(side + 0.5) // MULTIPLE * MULTIPLE for side in (height * ratio, height))
    return width, height


def load(path: Path) -> Mixtures:
    """Read one shard."""
    state: dict[str, Any] = torch.load(path, weights_only=True)
    lessons = [_lesson_of(fields) for fields in json.loads(state["lessons"])]
    height, width = (side * FOLD for side in state["latents"].shape[-2:])
    known = torch.from_numpy(np.stack([answers(lesson.target, width, height) for lesson in lessons]))
    rows, columns = (side // 2 for side in state["references"].shape[-2:])
    roles = torch.from_numpy(np.stack([roles_of(lesson, columns, rows) for lesson in lessons]))
    return Mixtures(lessons, state["latents"], state["references"], state["cover"], known, roles)


def roles_of(lesson: Lesson, columns: int, rows: int) -> NDArray[np.uint8]:
    """What the prompt wants of the references' tokens, so many columns and rows each; see `Mixtures`."""
    found = []
    for number, scene in enumerate(lesson.references):
        cover = cover_of(scene, columns * FOLD, rows * FOLD) * 255
        wanted = cover * (number in lesson.of)
        found.append(np.stack([cover, wanted, np.full_like(cover, 255 * (number == lesson.into))], -1))
    return np.stack(found).round().astype(np.uint8).reshape(-1, ROLES)


def _lesson_of(fields: dict[str, Any]) -> Lesson:
    return Lesson(
        Task(fields["task"]),
        tuple(scene_of(scene) for scene in fields["references"]),
        scene_of(fields["target"]),
        tuple(fields["of"]),
        fields["into"],
    )


class MixtureBank:
    """Batches of about a constant number of tokens, from one shard each."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._shards: dict[Path, Mixtures] = {}
        self._asked = 0

    def batch(self, rng: np.random.Generator) -> Mixtures:
        """Lessons of one task and size."""
        if self._asked % 50 == 0:
            paths = sorted(FOLDER.glob("*.pt"))
            self._shards |= {path: load(path) for path in paths if path not in self._shards}
        self._asked += 1
        shards = list(self._shards.values())
        shard = shards[int(rng.integers(len(shards)))]
        cost = (shard.latents[0].numel() + shard.references[0].numel()) // 64
        pick = rng.permutation(SHARD)[: max(self._tokens // cost, 1)]
        chosen = torch.from_numpy(pick)
        return Mixtures(
            [shard.lessons[i] for i in pick],
            shard.latents[chosen].float().to(device()),
            shard.references[chosen].float().to(device()),
            shard.cover[chosen].float().to(device()),
            shard.answers[chosen].float().to(device()) / 255,
            shard.roles[chosen].float().to(device()) / 255,
        )


# --- The stage ------------------------------------------------------------------------------------------


def new_klein() -> Any:
    """The architecture, as it is published."""
    model = Flux2Transformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=3,
        attention_head_dim=32,
        num_attention_heads=DIM // 32,
        joint_attention_dim=len(LAYERS) * HIDDEN,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=False,
    )
    return silenced(model, "_modulation", "/norm_out.", "/proj_out.")


class KleinStage(FlowStage):
    """klein on lessons with references."""

    name = "klein"
    recipe = Recipe(rate=1.5e-3, average=0.9985, weight_decay=0.02)

    def __init__(self) -> None:
        model = new_klein()
        doubles, singles = model.transformer_blocks, model.single_transformer_blocks
        super().__init__(model, (*doubles, *singles), singles[1], doubles[0])
        self.mixtures = MixtureBank(self.tokens)
        self.roles = Tutor(DIM, asked=ROLES, covers=1).to(device())
        self.tutors.append(self.roles)

    def take_published(self) -> None:
        """Begin with the transformer in the package."""
        self.model.load_state_dict(published(Flux2Transformer2DModel, "klein/transformer"))

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Flow matching of the target; the references stay as they are."""
        batch = self.mixtures.batch(rng)
        prompts = ["" if rng.random() < DROPPED else lesson.prompt(rng) for lesson in batch.lessons]
        length = LENGTHS[int(rng.integers(len(LENGTHS)))]
        sigmas, noisy, velocity = noised(batch.latents)
        read = embedded(prompts, length)
        with (
            half_precision(),
            self.tutor.listening(self.heard),
            self.roles.listening(self.model.transformer_blocks[0]),
        ):
            drawn = velocities(self.model, noisy, sigmas, read, batch.references)
        asked = self.tutor.loss(batch.answers, first=length)
        asked = asked + self.roles.loss(batch.roles, first=batch.answers.shape[1])
        return weighed_error(drawn, velocity, batch.cover) + TUTORED * asked

    def velocities(self, noisy: Tensor, sigmas: Tensor, prompts: list[str]) -> Tensor:
        """Without references: (B, 16, h, w)."""
        nothing = noisy.new_zeros((len(noisy), 0, *noisy.shape[1:]))
        return velocities(self.model, noisy, sigmas, embedded(prompts, RECIPE.max_tokens), nothing)

    def report(self, module: Any, folder: Path) -> str:
        """References, what was drawn of them, and what was asked."""
        rng = np.random.default_rng(13)
        rows = []
        for task in (Task.MOVE, Task.MOVE, Task.MOVE, Task.REPAINT, Task.REPLACE, Task.GATHER):
            lesson = Lesson.random(rng, task)
            given = [draw(scene, 512, 512) for scene in lesson.references]
            drawn = pictures(sample(module, [lesson.prompt(rng)], latents_of(given)[None].float()))
            blank = [np.full_like(given[0], 255)] * (3 - len(given))
            rows.append(np.concatenate([*given, *blank, *drawn, draw(lesson.target, 512, 512)], 1))
        Image.fromarray(np.concatenate(rows, 0)[::2, ::2]).save(folder / f"{self.name}.png")
        return "see the samples"


@torch.no_grad()
def embedded(prompts: list[str], length: int) -> Tensor:
    """What the transformer reads of the prompts: (B, length, 480)."""
    found: Tensor = Flux2KleinPipeline._get_qwen3_prompt_embeds(
        _language_model(),
        tokenizer(),
        prompts,
        max_sequence_length=length,
        hidden_states_layers=LAYERS,
    )
    return found


@cache
def _language_model() -> Any:
    return as_language_model(text_encoder())


def velocities(
    transformer: Any, noisy: Tensor, sigmas: Tensor, prompts: Tensor, references: Tensor
) -> Tensor:
    """Noise minus data: (B, 16, h, w). references: (B, R, 16, h', w'), in their order."""
    height, width = noisy.shape[-2:]
    tokens = [to_tokens(noisy), *(to_tokens(reference) for reference in references.unbind(1))]
    places = [_places(0, height, width)]
    places += [_places(APART * (number + 1), *references.shape[-2:]) for number in range(references.shape[1])]
    text = torch.zeros((prompts.shape[1], 4), device=device())
    text[:, 3] = torch.arange(prompts.shape[1], device=device())
    drawn = transformer(
        hidden_states=torch.cat(tokens, 1),
        encoder_hidden_states=prompts,
        timestep=sigmas,
        img_ids=torch.cat(places),
        txt_ids=text,
        guidance=None,
        return_dict=False,
    )[0]
    return from_tokens(drawn[:, : tokens[0].shape[1]], height, width).float()


def _places(time: int, height: int, width: int) -> Tensor:
    rows, columns = grid(height, width)
    return torch.stack([torch.full_like(rows, time), rows, columns, torch.zeros_like(rows)], 1).float()


def sample(
    transformer: Any,
    prompts: list[str],
    references: Tensor,
    size: tuple[int, int] = (512, 512),
    seed: int = 0,
) -> Tensor:
    """Latents after eight guided steps: (B, 16, H / 16, W / 16)."""
    references = references.to(device())
    wanted = embedded(prompts, RECIPE.max_tokens)
    unwanted = embedded([""] * len(prompts), RECIPE.max_tokens)

    def velocity(latents: Tensor, sigmas: Tensor) -> Tensor:
        towards = velocities(transformer, latents, sigmas, wanted, references)
        away = velocities(transformer, latents, sigmas, unwanted, references)
        return away + GUIDANCE * (towards - away)

    return euler(velocity, len(prompts), size, seed)
