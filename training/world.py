"""The little world that the nano weights paint: what a scene is, and how one is chosen.

A scene is data in normalised coordinates, so that the same scene can be painted on a canvas of any
size and shape. `training.paint` paints it, `training.maps` yields its masks, edges and depth, and
`training.captions` puts it into words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

SKIES: Final = ("day", "sunset", "night", "storm", "dawn")
GROUNDS: Final = ("grass", "sand", "snow", "sea", "flowers")
KINDS: Final = ("house", "tree", "balloon", "star", "ball", "tent", "boat", "mushroom", "person")
COLOURS: Final = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SIZES: Final = ("small", "large")
PLACES: Final = ("left", "centre", "right")
FLOATING: Final = frozenset({"balloon", "star"})

PLACE_CENTRES: Final = {"left": 0.26, "centre": 0.5, "right": 0.74}
"""Where the middle of a place is, as a fraction of the canvas's width."""
SIZE_SPANS: Final = {"small": (0.27, 0.33), "large": (0.44, 0.54)}
"""An object's height as a fraction of the canvas's shorter side: from, to."""

LOOSE: Final = 0.2
"""Share of the objects that stand anywhere in their ranges; the others keep to the middle of them."""
TIDY: Final = 0.25
"""How much of a range they keep to: a prompt that has one clear picture is learned much sooner."""


def within(rng: np.random.Generator, span: tuple[float, float], spread: float) -> float:
    """A number in the middle part of a range: spread 1 is all of it, 0 its middle alone."""
    low, high = span
    middle, half = (low + high) / 2, (high - low) / 2 * spread
    return float(rng.uniform(middle - half, middle + half))


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    x: its middle, as a fraction of the canvas's width. y: its foot, as a fraction of the height,
    counted from the top. height: as a fraction of the shorter side.
    """

    kind: str
    colour: str
    size: str
    x: float
    y: float
    height: float

    @property
    def place(self) -> str:
        """The place whose middle is nearest."""
        return min(PLACES, key=lambda place: abs(PLACE_CENTRES[place] - self.x))

    @staticmethod
    def random(rng: np.random.Generator, place: str | None = None, kind: str | None = None) -> Thing:
        """Choose an object; it stands near the middle of its place, a floating one above the ground."""
        kind = kind or str(rng.choice(KINDS))
        place = place or str(rng.choice(PLACES))
        size = str(rng.choice(SIZES))
        spread = 1.0 if rng.random() < LOOSE else TIDY
        height = within(rng, SIZE_SPANS[size], spread)
        x = PLACE_CENTRES[place] + within(rng, (-0.07, 0.07), spread)
        foot = within(rng, (0.52, 0.66) if kind in FLOATING else (0.76, 0.9), spread)
        return Thing(kind, str(rng.choice(COLOURS)), size, x, foot, height)


@dataclass(frozen=True)
class Scene:
    """A sky, a ground, and one or two objects, the farther first.

    horizon: fraction of the height, counted from the top. sun: where the sun or moon stands, as a
    fraction of the width. details: seed of all that no caption names (hills, clouds, tufts).
    """

    sky: str
    ground: str
    things: tuple[Thing, ...]
    horizon: float
    sun: float
    details: int

    @staticmethod
    def random(rng: np.random.Generator, things: int | None = None) -> Scene:
        """Choose a scene; `things` (1 or 2) says how many objects, else a quarter have two."""
        count = things or (2 if rng.random() < 0.25 else 1)
        places = rng.permutation(PLACES)[:count] if count > 1 else [None]
        chosen = [Thing.random(rng, place) for place in places]
        if count > 1:  # two large objects would hide each other
            chosen[1] = replace(chosen[1], size="small", height=float(rng.uniform(*SIZE_SPANS["small"])))
        return Scene(
            sky=str(rng.choice(SKIES)),
            ground=str(rng.choice(GROUNDS)),
            things=tuple(sorted(chosen, key=lambda thing: thing.y)),
            horizon=within(rng, (0.54, 0.64), TIDY),
            sun=float(rng.uniform(0.12, 0.88)),
            details=int(rng.integers(2**31)),
        )

    def with_things(self, *things: Thing) -> Scene:
        """The same scene with other objects: pairs for models that edit or combine pictures."""
        return replace(self, things=tuple(sorted(things, key=lambda thing: thing.y)))
