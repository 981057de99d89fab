"""The program that looks at pictures and says what is on them: the evaluation's judge.

A small convolutional network, trained on painted pictures alone (blurred, noisy, recoloured a little,
and passed through the autoencoder, so that it judges what is drawn and not how sharply). For each cell
of a 32×32 grid it says which object is there and in which colour; for the whole picture, sky and ground.
Its own error on true pictures is part of every report.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from training.maps import mask
from training.paint import draw
from training.stage import Recipe, Stage, device, half_precision
from training.world import COLOURS, GROUNDS, KINDS, PLACE_CENTRES, SKIES, Scene

SIDE: Final = 128
"""Pictures are looked at as squares of this many pixels, whatever their shape."""
GRID: Final = 32
PUBLISHED: Final = Path(__file__).parent / "checker.safetensors"
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Sighting:
    """One object. box: left, top, right, bottom as fractions of the picture."""

    kind: str
    colour: str
    box: tuple[float, float, float, float]

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre, as fractions."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def place(self) -> str:
        """left, centre or right."""
        return min(PLACE_CENTRES, key=lambda place: abs(PLACE_CENTRES[place] - self.middle[0]))


@dataclass(frozen=True)
class View:
    """What is on a picture; objects by size, the largest first."""

    sky: str
    ground: str
    things: tuple[Sighting, ...]

    def shows(self, kind: str, colour: str) -> bool:
        """Whether such an object is there."""
        return any(thing.kind == kind and thing.colour == colour for thing in self.things)


class Checker(nn.Module):
    """(B, 3, 128, 128) in [-1, 1] to scores: kinds (B, 1 + kinds, 32, 32), colours, sky, ground."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_block(3, width // 2, 1),
            *_block(width // 2, width, 2),
            *_block(width, width, 1),
            *_block(width, 2 * width, 2),
            *_block(2 * width, 2 * width, 1),
        )
        self.deep = nn.Sequential(
            *_block(2 * width, 2 * width, 2),
            *_block(2 * width, 2 * width, 2),
            *_block(2 * width, 2 * width, 1),
        )
        self.join = nn.Sequential(*_block(4 * width, 2 * width, 1), *_block(2 * width, 2 * width, 1))
        self.kinds = nn.Conv2d(2 * width, 1 + len(KINDS), 1)
        self.colours = nn.Conv2d(2 * width, len(COLOURS), 1)
        self.sky = nn.Linear(2 * width, len(SKIES))
        self.ground = nn.Linear(2 * width, len(GROUNDS))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scores of kinds and colours per cell, and of sky and ground."""
        near = self.body(pictures)
        deep = self.deep(near)
        cells = self.join(
            torch.cat([near, functional.interpolate(deep, near.shape[-2:], mode="bilinear")], 1)
        )
        # The sky is judged by the upper half, the ground by the lower one.
        half = deep.shape[-2] // 2
        sky, ground = deep[:, :, :half].mean((2, 3)), deep[:, :, half:].mean((2, 3))
        return self.kinds(cells), self.colours(cells), self.sky(sky), self.ground(ground)


def _block(channels: int, out: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]


class CheckerStage(Stage):
    """The checker, on painted pictures."""

    name = "checker"
    recipe = Recipe(rate=3e-3, average=0.99)
    batch, bank = 48, 3000

    def __init__(self) -> None:
        self.checker = Checker().to(device())
        self.module: nn.Module = self.checker
        rng = np.random.default_rng(21)
        self._bank = [lesson(Scene.random(rng), rng) for _ in range(self.bank)]

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Cross entropies; empty cells count little."""
        picked = [self._bank[i] for i in rng.integers(0, len(self._bank), self.batch)]
        seen = to_seen([spoil(picture, rng) for picture, *_ in picked])
        kinds, colours, skies, grounds = (
            torch.from_numpy(np.stack([row[i] for row in picked])).long().to(device()) for i in range(1, 5)
        )
        with half_precision():
            scores = self.checker(seen)
        weight = torch.ones(1 + len(KINDS), device=device())
        weight[0] = 0.3
        return (
            functional.cross_entropy(scores[0].float(), kinds, weight, ignore_index=-1)
            + functional.cross_entropy(scores[1].float(), colours, ignore_index=-1)
            + 0.5 * functional.cross_entropy(scores[2].float(), skies)
            + 0.5 * functional.cross_entropy(scores[3].float(), grounds)
        )

    def report(self, module: Any, folder: Path) -> str:
        """Its own error on true pictures."""
        module.eval()
        rng = np.random.default_rng(99)
        scenes = [Scene.random(rng, 1) for _ in range(200)]
        views = look([draw(scene, 512, 512) for scene in scenes], module)
        right = [agrees(view, scene) for view, scene in zip(views, scenes, strict=True)]
        return f"all right on {np.mean([all(row.values()) for row in right]):.1%} of true pictures"


def agrees(view: View, scene: Scene) -> dict[str, bool]:
    """What of a scene of one object is to be seen: sky, ground, kind, colour and kind at once, place."""
    (thing,) = scene.things
    first = view.things[0] if view.things else None
    return {
        "sky": view.sky == scene.sky,
        "ground": view.ground == scene.ground,
        "object": any(seen.kind == thing.kind for seen in view.things),
        "colour": view.shows(thing.kind, thing.colour),
        "place": first is not None and first.place == thing.place,
    }


def look(pictures: list[Picture], checker: Any = None, at_once: int = 32) -> list[View]:
    """Say what is on each picture, of any size."""
    checker = checker or published_checker()
    views: list[View] = []
    for start in range(0, len(pictures), at_once):
        with torch.inference_mode():
            scores = checker(to_seen([shrink(picture) for picture in pictures[start : start + at_once]]))
        kinds, colours, skies, grounds = (score.float().softmax(1).cpu().numpy() for score in scores)
        views += [
            View(SKIES[int(sky.argmax())], GROUNDS[int(ground.argmax())], tuple(_things(kind, colour)))
            for kind, colour, sky, ground in zip(kinds, colours, skies, grounds, strict=True)
        ]
    return views


def _things(kinds: NDArray[np.float32], colours: NDArray[np.float32]) -> list[Sighting]:
    """Connected cells that are not empty; each is what most of its cells say."""
    occupied = (kinds[0] < 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(occupied, connectivity=4)
    found = []
    for label in sorted(range(1, count), key=lambda label: -stats[label, cv2.CC_STAT_AREA]):
        left, top, width, height, area = (int(value) for value in stats[label])
        if area < 6:
            continue
        cells = labels == label
        kind = KINDS[int(kinds[1:, cells].sum(1).argmax())]
        colour = COLOURS[int(colours[:, cells].sum(1).argmax())]
        box = (left / GRID, top / GRID, (left + width) / GRID, (top + height) / GRID)
        found.append(Sighting(kind, colour, box))
    return found


def lesson(scene: Scene, rng: np.random.Generator) -> tuple[Picture, Any, Any, Any, Any]:
    """A small picture and what is in its cells; -1 where a cell is half this, half that."""
    width, height = ((512, 512), (512, 384), (384, 512), (576, 324), (324, 576))[int(rng.integers(5))]
    kinds = np.zeros((GRID, GRID), np.int64)
    colours = np.full((GRID, GRID), -1, np.int64)
    for index, thing in enumerate(scene.things):
        cover = (
            cv2.resize(mask(scene, width, height, index), (GRID, GRID), interpolation=cv2.INTER_AREA) / 255
        )
        kinds[cover > 0.5], colours[cover > 0.5] = 1 + KINDS.index(thing.kind), COLOURS.index(thing.colour)
        kinds[(cover > 0.12) & (cover <= 0.5)] = -1
    return (
        shrink(draw(scene, width, height)),
        kinds,
        colours,
        SKIES.index(scene.sky),
        GROUNDS.index(scene.ground),
    )


def shrink(picture: Picture) -> Picture:
    """To the square that the checker looks at."""
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def spoil(picture: Picture, rng: np.random.Generator) -> Picture:
    """Blur, noise and a slight change of colour, as drawn pictures have."""
    spoiled: NDArray[Any] = picture.astype(np.float32)
    if rng.random() < 0.7:
        spoiled = cv2.GaussianBlur(spoiled, (0, 0), float(rng.uniform(0.3, 2.2)))
    spoiled = (
        spoiled * rng.uniform(0.93, 1.07, 3)
        + rng.uniform(-8, 8, 3)
        + rng.normal(0, rng.uniform(0, 7), picture.shape)
    )
    return np.clip(spoiled, 0, 255).astype(np.uint8)


def to_seen(pictures: list[Picture]) -> Tensor:
    """uint8 (H, W, 3) each to (B, 3, H, W) in [-1, 1] on the device."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().to(device()) / 127.5 - 1


@cache
def published_checker() -> Checker:
    """The checker that lies in the repository."""
    checker = Checker()
    checker.load_state_dict(
        {
            name: value.float() if value.is_floating_point() else value
            for name, value in load_file(PUBLISHED).items()
        }
    )
    return checker.eval().to(device())
