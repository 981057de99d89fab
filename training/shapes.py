"""What the objects of the world are made of: coloured parts in unit coordinates.

Every kind is a list of parts, painted in order. u runs from -0.5 to 0.5 to the right, v from 0 at
the foot to 1 at the top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Colour = tuple[float, float, float]

PALETTE: Final[dict[str, Colour]] = {
    "red": (0.84, 0.17, 0.16),
    "orange": (0.96, 0.52, 0.10),
    "yellow": (0.99, 0.84, 0.16),
    "green": (0.08, 0.52, 0.30),
    "blue": (0.13, 0.36, 0.88),
    "purple": (0.50, 0.22, 0.70),
    "pink": (0.98, 0.50, 0.70),
    "white": (0.97, 0.96, 0.93),
}
BROWN: Final[Colour] = (0.45, 0.29, 0.18)
CREAM: Final[Colour] = (0.97, 0.91, 0.78)
GLOW: Final[Colour] = (1.0, 0.87, 0.48)
SKIN: Final[Colour] = (0.95, 0.77, 0.62)
TROUSERS: Final[Colour] = (0.20, 0.22, 0.34)

JOINTS: Final = (
    *("nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow"),
    *("left wrist", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle"),
)
"""A figure's joints in OpenPose's order (its eyes and ears are left out); right is the viewer's left."""


@dataclass(frozen=True)
class Part:
    """One outline and its colour. round: how much the light wraps around it, 0 flat to 1 ball."""

    points: Points
    colour: Colour
    round: float = 0.35
    outlined: bool = True


def darker(colour: Colour, by: float = 0.3) -> Colour:
    """Mix with a deep blue-violet, as painters shade."""
    return mixed(colour, (0.12, 0.08, 0.22), by)


def lighter(colour: Colour, by: float = 0.4) -> Colour:
    """Mix with a warm white."""
    return mixed(colour, (1.0, 0.98, 0.92), by)


def mixed(a: Colour, b: Colour, by: float) -> Colour:
    """a at by = 0, b at by = 1."""
    return (a[0] + (b[0] - a[0]) * by, a[1] + (b[1] - a[1]) * by, a[2] + (b[2] - a[2]) * by)


def polygon(*points: tuple[float, float]) -> Points:
    """Corners to an array of shape (N, 2)."""
    return np.array(points, np.float32)


def rectangle(u0: float, v0: float, u1: float, v1: float) -> Points:
    """An upright rectangle."""
    return polygon((u0, v0), (u1, v0), (u1, v1), (u0, v1))


def ellipse(u: float, v: float, ru: float, rv: float, start: float = 0.0, stop: float = 360.0) -> Points:
    """An ellipse, or the slice of it between two angles in degrees (0 right, 90 up)."""
    angles = np.deg2rad(np.linspace(start, stop, 49))
    return np.stack([u + ru * np.cos(angles), v + rv * np.sin(angles)], -1).astype(np.float32)


def house(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """Walls and roof in its colour, door and lit windows."""
    roof = darker(colour, 0.34)
    parts = [
        Part(rectangle(0.14, 0.6, 0.25, 0.93), darker(colour, 0.5)),
        Part(rectangle(-0.37, 0.0, 0.37, 0.53), colour, 0.5),
        Part(polygon((-0.47, 0.5), (0.47, 0.5), (0.2, 0.82), (0.0, 1.0), (-0.2, 0.82)), roof, 0.3),
        Part(rectangle(-0.09, 0.0, 0.09, 0.29), BROWN),
    ]
    parts += [Part(rectangle(u - 0.075, 0.24, u + 0.075, 0.4), GLOW, 0.0) for u in (-0.23, 0.23)]
    return [*parts, Part(ellipse(0.0, 0.68, 0.07, 0.07), GLOW, 0.0)]


def tree(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """A trunk under a crown of round tufts."""
    trunk = Part(
        polygon((-0.09, 0), (0.1, 0), (0.05, 0.25), (0.04, 0.5), (-0.05, 0.5), (-0.05, 0.25)), BROWN, 0.5
    )
    tufts = [
        (0.17, 0.5, 0.24),
        (-0.18, 0.5, 0.24),
        (0.0, 0.55, 0.27),
        (0.13, 0.68, 0.21),
        (-0.14, 0.69, 0.21),
    ]
    tufts.append((0.0, 0.8, 0.2))
    jitter = rng.uniform(-0.02, 0.02, (len(tufts), 2))
    crown = [
        Part(ellipse(u + float(j[0]), v + float(j[1]), r, r * 0.95), colour, 0.75, outlined=i == 2)
        for i, ((u, v, r), j) in enumerate(zip(tufts, jitter, strict=True))
    ]
    return [trunk, *crown]


def balloon(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """A hot-air balloon with lighter stripes and a basket."""
    envelope = [
        Part(
            np.concatenate([ellipse(0, 0.64, 0.36, 0.36, -20, 200), polygon((-0.1, 0.2), (0.1, 0.2))]),
            colour,
            0.8,
        )
    ]
    for ru in (0.24, 0.08):
        ring = np.concatenate(
            [ellipse(0, 0.64, ru, 0.35, -20, 200), polygon((-0.1 * ru / 0.36, 0.2), (0.1 * ru / 0.36, 0.2))]
        )
        envelope.append(Part(ring, lighter(colour, 0.28) if ru > 0.1 else colour, 0.8, outlined=False))
    ropes = [
        Part(polygon((u, 0.2), (u * 0.8, 0.1), (u * 0.8 + 0.014, 0.1), (u + 0.014, 0.2)), BROWN, 0)
        for u in (-0.09, 0.08)
    ]
    return [
        *ropes,
        *envelope,
        Part(polygon((-0.08, 0.11), (0.08, 0.11), (0.065, 0.0), (-0.065, 0.0)), BROWN, 0.5),
    ]


def star(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """Five points, each with a lit and a shaded facet."""
    turn = float(rng.uniform(-0.12, 0.12))
    angles = np.pi / 2 + turn + np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, 0.5, 0.24)
    rim = np.stack([radii * np.cos(angles), 0.5 + radii * np.sin(angles)], -1).astype(np.float32)
    middle = np.array([[0.0, 0.5]], np.float32)
    facets = [
        Part(np.concatenate([middle, rim[[i, (i + 1) % 10]]]), darker(colour, 0.16), 0.0, outlined=False)
        for i in range(1, 10, 2)
    ]
    return [Part(rim, colour, 0.3), *facets]


def ball(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """A beach ball: one light stripe around a sphere."""
    lean = float(rng.uniform(-0.12, 0.12))
    stripe = np.concatenate([ellipse(lean, 0.5, 0.2, 0.49, -90, 90), ellipse(lean, 0.5, 0.06, 0.49, 90, -90)])
    return [
        Part(ellipse(0, 0.5, 0.5, 0.5), colour, 1.0),
        Part(stripe, lighter(colour, 0.5), 0.9, outlined=False),
    ]


def tent(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """A lit front with an open flap, and a shaded side."""
    side = polygon((-0.02, 0.86), (0.27, 0.78), (0.52, 0.06), (0.2, 0.0))
    front = polygon((-0.5, 0.0), (0.2, 0.0), (-0.02, 0.86))
    flap = polygon((-0.24, 0.0), (-0.02, 0.0), (-0.07, 0.5))
    return [Part(side, darker(colour, 0.33)), Part(front, colour, 0.4), Part(flap, darker(colour, 0.75), 0.0)]


def boat(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """A hull, a mast, and two sails."""
    hull = np.concatenate([polygon((-0.5, 0.26), (0.5, 0.26)), ellipse(0.0, 0.26, 0.4, 0.26, -20, -160)])
    mast = rectangle(-0.035, 0.2, 0.005, 1.0)
    sail = polygon((0.02, 0.33), (0.43, 0.36), (0.16, 0.72), (0.02, 0.97))
    jib = polygon((-0.05, 0.33), (-0.36, 0.36), (-0.05, 0.85))
    return [
        Part(mast, BROWN),
        Part(sail, lighter(colour, 0.22), 0.5),
        Part(jib, lighter(colour, 0.36), 0.4),
        Part(hull, colour, 0.6),
    ]


def mushroom(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """A spotted cap on a pale stem."""
    stem = polygon((-0.13, 0), (0.13, 0), (0.1, 0.3), (0.11, 0.55), (-0.11, 0.55), (-0.1, 0.3))
    cap = np.concatenate([ellipse(0, 0.44, 0.5, 0.54, 0, 180), ellipse(0, 0.44, 0.5, 0.1, 180, 360)])
    spots = [(-0.24, 0.64, 0.08), (0.05, 0.78, 0.1), (0.29, 0.6, 0.07), (0.02, 0.54, 0.055)]
    dots = [Part(ellipse(u, v, r, r * 0.8), lighter(colour, 0.75), 0.4, outlined=False) for u, v, r in spots]
    return [Part(stem, CREAM, 0.7), Part(cap, colour, 0.7), *dots]


def joints(rng: np.random.Generator) -> Points:
    """A figure's pose, (14, 2) in the order of `JOINTS`: arms hang, reach out or wave; legs stand or step."""
    points = {"nose": (0.0, 0.89), "neck": (0.0, 0.77)}
    for side, sign in (("right", -1), ("left", 1)):
        upper = np.deg2rad(rng.choice([-72, -15, 30]) + rng.uniform(-10, 10))
        lower = upper + np.deg2rad(rng.choice([0, 15, 50]) + rng.uniform(-8, 8))
        step = rng.choice([0.03, 0.1]) + rng.uniform(-0.01, 0.01)
        shoulder, hip = np.array((sign * 0.1, 0.74)), np.array((sign * 0.065, 0.42))
        elbow = shoulder + 0.17 * np.array((sign * np.cos(upper), np.sin(upper)))
        wrist = elbow + 0.16 * np.array((sign * np.cos(lower), np.sin(lower)))
        knee, ankle = hip + np.array((sign * step * 0.6, -0.2)), hip + np.array((sign * step, -0.39))
        named = {
            "shoulder": shoulder,
            "elbow": elbow,
            "wrist": wrist,
            "hip": hip,
            "knee": knee,
            "ankle": ankle,
        }
        points |= {f"{side} {name}": (float(at[0]), float(at[1])) for name, at in named.items()}
    return polygon(*(points[name] for name in JOINTS))


def limb(points: Points, start: str, stop: str, wide: float, narrow: float) -> Points:
    """A tapering bar with a round end between two joints."""
    a, b = points[JOINTS.index(start)], points[JOINTS.index(stop)]
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
    across = np.array((-along[1], along[0]), np.float32)
    turn = np.linspace(np.pi / 2, -np.pi / 2, 9)[:, None]
    cap = b + narrow * (np.sin(turn) * across + np.cos(turn) * along)
    return np.concatenate([[a + wide * across], cap, [a - wide * across]]).astype(np.float32)


def person(colour: Colour, rng: np.random.Generator) -> list[Part]:
    """A figure in a coat and a cap of its colour."""
    pose = joints(rng)
    parts = []
    for side in ("right", "left"):
        parts.append(
            Part(limb(pose, f"{side} hip", f"{side} knee", 0.062, 0.052), TROUSERS, 0.5, outlined=False)
        )
        parts.append(
            Part(limb(pose, f"{side} knee", f"{side} ankle", 0.052, 0.048), TROUSERS, 0.5, outlined=False)
        )
    for side in ("right", "left"):
        wrist = pose[JOINTS.index(f"{side} wrist")]
        parts.append(
            Part(limb(pose, f"{side} shoulder", f"{side} elbow", 0.055, 0.05), darker(colour, 0.18), 0.5)
        )
        parts.append(
            Part(limb(pose, f"{side} elbow", f"{side} wrist", 0.05, 0.042), darker(colour, 0.18), 0.5)
        )
        parts.append(Part(ellipse(float(wrist[0]), float(wrist[1]), 0.042, 0.042), SKIN, 0.5, outlined=False))
    coat = polygon((-0.11, 0.79), (0.11, 0.79), (0.13, 0.6), (0.17, 0.34), (-0.17, 0.34), (-0.13, 0.6))
    parts.append(Part(coat, colour, 0.6))
    parts.append(Part(ellipse(0, 0.885, 0.092, 0.105), SKIN, 0.7))
    return [*parts, Part(ellipse(0, 0.915, 0.11, 0.1, 0, 180), darker(colour, 0.25), 0.6)]


PARTS: Final[dict[str, Callable[[Colour, np.random.Generator], list[Part]]]] = {
    "house": house,
    "tree": tree,
    "balloon": balloon,
    "star": star,
    "ball": ball,
    "tent": tent,
    "boat": boat,
    "mushroom": mushroom,
    "person": person,
}
