"""A bank of painted scenes in latents, so that an image model spends its minutes on learning.

Shards of scenes of one size lie beside the checkpoints. A model in training looks for new shards from
time to time, so the bank can still grow while it learns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from training import maps
from training.autoencoder import FOLD, encoder
from training.paint import draw
from training.pictures import to_tensor
from training.stage import CHECKPOINTS, device, half_precision
from training.tutor import answers
from training.world import Scene, Thing

BANK: Final = CHECKPOINTS / "latents"
SHARES: Final = {
    (512, 512): 16,
    (1024, 1024): 2,
    (1024, 768): 1,
    (768, 1024): 1,
    (1024, 576): 1,
    (576, 1024): 1,
}
"""How many scenes of each (width, height) a round of the bank holds, in shards of `SHARD`."""
SHARD: Final = 32


@dataclass(frozen=True)
class Shard:
    """Scenes of one size.

    latents: (N, 16, H / 16, W / 16), float16. cover: how much of each latent is object, same grid.
    control: the latents of one map of each scene, whose kind stands in `kinds`. answers: what each token
    holds, (N, tokens, 33), uint8, see `training.tutor`.
    """

    scenes: list[Scene]
    latents: Tensor
    cover: Tensor
    control: Tensor
    kinds: list[str]
    answers: Tensor

    @cached_property
    def tokens(self) -> int:
        """Tokens per picture."""
        return self.latents.shape[-1] * self.latents.shape[-2] // 4


def fill(rounds: int, seed: int) -> None:
    """Add rounds to the bank until it has this many."""
    BANK.mkdir(parents=True, exist_ok=True)
    wanted = list(_plan(rounds))
    for name, size, number in tqdm(wanted, desc="latents", unit="shard", mininterval=5):
        path = BANK / f"{name}.pt"
        if not path.exists():
            write(path, _make(size, np.random.default_rng([seed, 1, number])))


def load(path: Path) -> Shard:
    """Read one shard."""
    state: dict[str, Any] = torch.load(path, weights_only=True)
    scenes = [scene_of(fields) for fields in json.loads(state["scenes"])]
    height, width = (side * FOLD for side in state["latents"].shape[-2:])
    known = torch.from_numpy(np.stack([answers(scene, width, height) for scene in scenes]))
    return Shard(scenes, state["latents"], state["cover"], state["control"], state["kinds"], known)


def scene_of(fields: dict[str, Any]) -> Scene:
    """A scene from its JSON."""
    return Scene(**{**fields, "things": tuple(Thing(**thing) for thing in fields["things"])})


class LatentBank:
    """Batches of a constant number of tokens, all of one size."""

    def __init__(self, tokens: int, folder: Path = BANK) -> None:
        self._tokens = tokens
        self._folder = folder
        self._shards: dict[Path, Shard] = {}
        self._asked = 0

    def batch(self, rng: np.random.Generator) -> Shard:
        """A shard-like batch of pictures from all shards of one size."""
        if self._asked % 50 == 0:
            paths = sorted(self._folder.glob("*.pt"))
            self._shards |= {path: load(path) for path in paths if path not in self._shards}
        self._asked += 1
        shards = list(self._shards.values())
        first = shards[int(rng.integers(len(shards)))]
        kin = [shard for shard in shards if shard.latents.shape == first.latents.shape]
        count = max(self._tokens // first.tokens, 1)
        pick = [(int(rng.integers(len(kin))), int(rng.integers(SHARD))) for _ in range(count)]
        return Shard(
            [kin[s].scenes[i] for s, i in pick],
            torch.stack([kin[s].latents[i] for s, i in pick]).float().to(device()),
            torch.stack([kin[s].cover[i] for s, i in pick]).float().to(device()),
            torch.stack([kin[s].control[i] for s, i in pick]).float().to(device()),
            [kin[s].kinds[i] for s, i in pick],
            torch.stack([kin[s].answers[i] for s, i in pick]).float().to(device()) / 255,
        )


def _plan(rounds: int) -> Iterator[tuple[str, tuple[int, int], int]]:
    number = 0
    for round_ in range(rounds):
        for part in range(max(SHARES.values())):
            for (width, height), share in SHARES.items():
                if part < share:
                    yield f"{width}x{height}-{round_:02}-{part:02}", (width, height), number
                    number += 1


def _make(size: tuple[int, int], rng: np.random.Generator) -> dict[str, Any]:
    width, height = size
    scenes = [Scene.random(rng) for _ in range(SHARD)]
    kinds = [_control_kind(scene, rng) for scene in scenes]
    pictures = [draw(scene, width, height) for scene in scenes]
    controls = [
        maps.control(scene, picture, kind)
        for scene, picture, kind in zip(scenes, pictures, kinds, strict=True)
    ]
    cover = np.stack([cover_of(scene, width, height) for scene in scenes])
    return {
        "scenes": json.dumps([asdict(scene) for scene in scenes]),
        "latents": latents_of(pictures),
        "cover": torch.from_numpy(cover).half(),
        "control": latents_of(controls),
        "kinds": kinds,
    }


def latents_of(pictures: list[NDArray[np.uint8]], at_once: int = 4) -> Tensor:
    """Encode pictures of one size: (N, 16, H / 16, W / 16), float16."""
    found = []
    with torch.inference_mode(), half_precision():
        for start in range(0, len(pictures), at_once):
            batch = to_tensor(pictures[start : start + at_once]).to(
                device(), memory_format=torch.channels_last
            )
            found.append(encoder().encode(batch).cpu().half())
    return torch.cat(found).contiguous()


def cover_of(scene: Scene, width: int, height: int) -> NDArray[np.float32]:
    """How much of each latent is object: (height / 16, width / 16) in [0, 1]."""
    whole = np.max([maps.mask(scene, width, height, i) for i in range(len(scene.things))], 0)
    return (
        cv2.resize(whole, (width // FOLD, height // FOLD), interpolation=cv2.INTER_AREA).astype(np.float32)
        / 255
    )


def _control_kind(scene: Scene, rng: np.random.Generator) -> str:
    if any(thing.kind == "person" for thing in scene.things) and rng.random() < 0.4:
        return "pose"
    return str(rng.choice(("edges", "edges", "depth", "shape")))


def write(path: Path, state: dict[str, Any]) -> None:
    """Save a shard in one move, so that a stop never leaves half of it."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
