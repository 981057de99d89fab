"""Paint a scene: sky, hills, ground, shadows, objects, back to front.

Pictures are float32 RGB in [0, 1] of shape (H, W, 3) while they are painted, uint8 when done.
Soft things (sky, clouds, hills' haze) are painted small and enlarged; that is what makes it fast.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.shapes import PALETTE, PARTS, Colour, Part, darker, joints
from training.world import FLOATING, Scene, Thing

Picture = NDArray[np.float32]
Mask = NDArray[np.float32]

SKY_STOPS: Final[dict[str, tuple[Colour, ...]]] = {
    "day": ((0.27, 0.56, 0.92), (0.52, 0.77, 0.97), (0.86, 0.95, 0.99)),
    "sunset": ((0.33, 0.20, 0.46), (0.90, 0.38, 0.30), (1.00, 0.80, 0.42)),
    "night": ((0.03, 0.04, 0.15), (0.07, 0.11, 0.31), (0.19, 0.25, 0.48)),
    "storm": ((0.22, 0.25, 0.30), (0.38, 0.42, 0.47), (0.60, 0.64, 0.66)),
    "dawn": ((0.60, 0.62, 0.88), (0.93, 0.73, 0.84), (1.00, 0.91, 0.82)),
}
"""Top, middle, horizon."""
LIGHT: Final[dict[str, Colour]] = {
    "day": (1.0, 1.0, 0.98),
    "sunset": (1.0, 0.80, 0.66),
    "night": (0.38, 0.45, 0.72),
    "storm": (0.66, 0.70, 0.74),
    "dawn": (0.98, 0.88, 0.92),
}
GROUND_STOPS: Final[dict[str, tuple[Colour, Colour]]] = {
    "grass": ((0.70, 0.83, 0.44), (0.37, 0.60, 0.22)),
    "sand": ((0.97, 0.89, 0.70), (0.87, 0.70, 0.44)),
    "snow": ((0.97, 0.98, 1.00), (0.80, 0.87, 0.97)),
    "sea": ((0.46, 0.76, 0.80), (0.06, 0.36, 0.50)),
    "flowers": ((0.62, 0.78, 0.42), (0.28, 0.50, 0.22)),
}
"""Far, near."""
PETALS: Final[tuple[Colour, ...]] = (
    (0.98, 0.55, 0.65),
    (1.0, 0.86, 0.35),
    (0.98, 0.97, 0.95),
    (0.75, 0.55, 0.92),
    (0.95, 0.38, 0.34),
)


def draw(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """Paint the scene: uint8 RGB of shape (height, width, 3)."""
    rng = np.random.default_rng(scene.details)
    picture = paint_sky(scene, width, height, rng)
    paint_hills(picture, scene, rng)
    paint_ground(picture, scene, rng)
    for thing in scene.things:
        paint_thing(picture, scene, thing)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def paint_sky(scene: Scene, width: int, height: int, rng: np.random.Generator) -> Picture:
    """Gradient, sun or moon with its glow, clouds; stars at night."""
    w, h = width // 4, height // 4
    y = np.linspace(0, 1, h, dtype=np.float32) / scene.horizon
    stops = np.array(SKY_STOPS[scene.sky], np.float32)
    rows = np.stack([np.interp(y, (0.0, 0.55, 1.0), stops[:, c]) for c in range(3)], -1).astype(np.float32)
    small = np.repeat(rows[:, None], w, 1)
    unit = min(w, h)
    lamp_x, lamp_y = scene.sun * w, h * (0.16 if scene.sky in ("day", "night") else 0.8 * scene.horizon)
    xx, yy = np.arange(w, dtype=np.float32)[None], np.arange(h, dtype=np.float32)[:, None]
    distance = np.sqrt((xx - lamp_x) ** 2 + (yy - lamp_y) ** 2) / unit
    lamp: Colour = {"night": (0.80, 0.85, 1.0), "sunset": (1.0, 0.72, 0.34), "dawn": (1.0, 0.92, 0.80)}.get(
        scene.sky, (1.0, 0.98, 0.84)
    )
    if scene.sky != "storm":
        blend(small, lamp, np.float32(0.6) * np.exp(-distance * (9.0 if scene.sky == "night" else 4.5)))
    cover = {"day": 0.62, "sunset": 0.6, "night": 0.8, "storm": 0.34, "dawn": 0.6}[scene.sky]
    shape = cloud(w, h, rng)
    clouds = np.clip((shape - cover) * 3.2, 0, 0.9) * np.clip(1.25 - y[:, None], 0, 1)
    edge: Colour = {
        "day": (1, 1, 1),
        "sunset": (1.0, 0.62, 0.50),
        "night": (0.25, 0.29, 0.47),
        "storm": (0.30, 0.32, 0.37),
        "dawn": (1.0, 0.94, 0.93),
    }[scene.sky]
    blend(small, edge, clouds)
    picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    unit = min(width, height)
    if scene.sky == "night":
        for sx, sy, r in rng.uniform((0, 0, 0.0012), (1, scene.horizon * 0.9, 0.0042), (70, 3)):
            dot(picture, sx * width, sy * height, max(r * unit, 0.7), (1.0, 0.97, 0.86))
    if scene.sky != "storm":
        dot(
            picture,
            scene.sun * width,
            lamp_y * 4,
            unit * (0.055 if scene.sky == "night" else 0.07),
            lamp if scene.sky != "day" else (1.0, 0.95, 0.62),
        )
    if scene.sky == "night":  # a bite makes the moon a crescent
        dot(
            picture,
            (scene.sun * width) + unit * 0.026,
            lamp_y * 4 - unit * 0.012,
            unit * 0.044,
            SKY_STOPS["night"][1],
        )
    return picture


def paint_hills(picture: Picture, scene: Scene, rng: np.random.Generator) -> None:
    """Two soft ranges, the farther hazier."""
    width = picture.shape[1]
    haze = np.array(SKY_STOPS[scene.sky][2], np.float32)
    far = np.array(
        GROUND_STOPS["grass" if scene.ground in ("sea", "flowers") else scene.ground][1], np.float32
    )
    slope = np.array((0.35, 0.48, 0.55), np.float32) * 0.6 + far * 0.4
    for rise, clear in ((0.15, 0.3), (0.085, 0.52)):
        crest = scene.horizon - rise * (0.45 + 0.55 * ridge(width, rng, 2.6))
        colour = (haze * (1 - clear) + slope * clear * np.array(LIGHT[scene.sky], np.float32)).tolist()
        blend_below(picture, crest, scene.horizon + 0.05, (colour[0], colour[1], colour[2]))


def paint_ground(picture: Picture, scene: Scene, rng: np.random.Generator) -> None:
    """From the horizon down: gradient, texture in perspective, tufts, petals or glitter."""
    height, width = picture.shape[:2]
    wave = 0.003 if scene.ground == "sea" else 0.018
    edge = scene.horizon + wave * (ridge(width, rng, 2.0) - 0.5)
    top = int((scene.horizon - wave) * height) - 1
    depth = np.clip(
        (np.arange(top, height, dtype=np.float32) / height - scene.horizon) / (1 - scene.horizon), 0, 1
    )
    far, near = (np.array(stop, np.float32) for stop in GROUND_STOPS[scene.ground])
    rows = far + (near - far) * np.sqrt(depth)[:, None]
    ground = np.repeat(rows[:, None], width, 1)
    ground *= 1 + texture(scene, width, height, depth, rng)[..., None]
    light = np.array(LIGHT[scene.sky], np.float32)
    ground *= light
    if scene.ground == "sea":  # the water mirrors the sky
        ground += 0.22 * (np.array(SKY_STOPS[scene.sky][1], np.float32) - ground)
    cover = np.clip((np.arange(top, height, dtype=np.float32)[:, None] - edge[None] * height) + 0.5, 0, 1)
    picture[top:] += cover[..., None] * (ground - picture[top:])
    unit = min(width, height)
    if scene.ground in ("grass", "flowers"):
        tufts = rng.uniform((0, 0.05), (1, 1), (60, 2))
        for u, v in tufts:
            row = scene.horizon + (1 - scene.horizon) * v**1.4 + 0.02
            blade(
                picture,
                u * width,
                row * height,
                unit * (0.006 + 0.022 * v),
                tuple((near * 0.72 * light).tolist()),
            )
    if scene.ground == "flowers":
        for u, v, petal in sorted(
            rng.uniform((0, 0.03, 0), (1, 1, len(PETALS)), (150, 3)).tolist(), key=lambda f: float(f[1])
        ):
            row = scene.horizon + (1 - scene.horizon) * v**1.35 + 0.02
            colour = np.array(PETALS[int(petal)], np.float32) * np.sqrt(light)
            dot(picture, u * width, row * height, unit * (0.0035 + 0.0125 * v), tuple(colour.tolist()))


def texture(scene: Scene, width: int, height: int, depth: Mask, rng: np.random.Generator) -> Mask:
    """Relative brightness of the ground, (rows, width), seen in perspective; about -0.2 to 0.2."""
    across, along, strength = {
        "grass": (5, 3.0, 0.3),
        "flowers": (5, 3.0, 0.3),
        "sand": (1.3, 7.0, 0.20),
        "snow": (1.2, 2.2, 0.16),
        "sea": (1.6, 16.0, 0.42),
    }[scene.ground]
    distance = 1 / (0.16 + depth[::2])
    side = noise().shape[0]
    columns = (np.linspace(-0.5, 0.5, width // 2, dtype=np.float32) * width / min(width, height))[
        None
    ] * distance[:, None] ** 0.7
    map_x = columns * across * 60 + float(rng.uniform(0, side))
    map_y = np.broadcast_to(distance[:, None] * along * 9 + float(rng.uniform(0, side)), map_x.shape)
    grain = cv2.remap(
        noise(),
        map_x.astype(np.float32),
        map_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    grain = (grain - 0.5) * strength * (0.35 + 0.65 * depth[::2, None])
    return cv2.resize(grain.astype(np.float32), (width, len(depth)), interpolation=cv2.INTER_LINEAR)


def paint_thing(picture: Picture, scene: Scene, thing: Thing) -> None:
    """A cast shadow on the ground, then the parts with light from the sun's side and ink around them."""
    height, width = picture.shape[:2]
    size = thing.height * min(width, height)
    if thing.kind not in FLOATING:
        cast_shadow(picture, scene, thing, size)
    light = np.array(LIGHT[scene.sky], np.float32) ** 0.45
    side = 1.0 if scene.sun >= thing.x else -1.0
    for part in parts_of(scene, thing):
        paint_part(picture, part, thing, size, side, light)


def parts_of(scene: Scene, thing: Thing) -> list[Part]:
    """The thing's parts, with the small irregularities that the scene's seed gives it."""
    rng = np.random.default_rng([scene.details, round(thing.x * 1e6)])
    return PARTS[thing.kind](PALETTE[thing.colour], rng)


def joints_of(scene: Scene, thing: Thing) -> NDArray[np.float32]:
    """A figure's joints in unit coordinates, (14, 2), in the order of `shapes.JOINTS`."""
    return joints(np.random.default_rng([scene.details, round(thing.x * 1e6)]))


def place_points(
    points: NDArray[np.float32], thing: Thing, size: float, width: int, height: int
) -> NDArray[np.float32]:
    """Unit coordinates to pixels, (N, 2)."""
    return np.stack([thing.x * width + points[:, 0] * size, thing.y * height - points[:, 1] * size], -1)


def paint_part(
    picture: Picture, part: Part, thing: Thing, size: float, side: float, light: NDArray[np.float32]
) -> None:
    """Fill one part: lit on the side of the sun (side 1: right), shaded on the other."""
    height, width = picture.shape[:2]
    points = place_points(part.points, thing, size, width, height)
    low = np.maximum(np.floor(points.min(0)).astype(int) - 4, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 5, (width, height))
    if (high <= low).any():
        return
    crop = picture[low[1] : high[1], low[0] : high[0]]
    fixed = np.round((points - low) * 16).astype(np.int32)
    cover = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillPoly(cover, [fixed], 255, cv2.LINE_AA, 4)
    span = np.maximum(points.max(0) - points.min(0), 1)
    u = ((np.arange(low[0], high[0]) - points[:, 0].min()) / span[0] * 2 - 1).astype(np.float32)[None]
    v = (1 - (np.arange(low[1], high[1]) - points[:, 1].min()) / span[1] * 2).astype(np.float32)[:, None]
    facing = u * side * 0.75 + v * 0.65
    shade = 1 + part.round * (0.24 * facing - 0.22 * np.clip(u * u + v * v - 0.35, 0, 1.2))
    lit = np.array(part.colour, np.float32) * light * shade[..., None]
    lit += (part.round * 0.35 * np.clip(facing - 0.55, 0, 1))[..., None] * (1 - lit)
    crop += (cover.astype(np.float32) / 255)[..., None] * (lit - crop)
    if part.outlined:
        ink = np.zeros(crop.shape[:2], np.uint8)
        cv2.polylines(ink, [fixed], True, 255, max(1, round(size * 0.011)), cv2.LINE_AA, 4)
        blend(
            crop,
            tuple((np.array(darker(part.colour, 0.62)) * light).tolist()),
            ink.astype(np.float32) * (0.8 / 255),
        )


def cast_shadow(picture: Picture, scene: Scene, thing: Thing, size: float) -> None:
    """A soft ellipse that leans away from the sun."""
    height, width = picture.shape[:2]
    lean = (-0.2 if scene.sun >= thing.x else 0.2) * size
    cx, cy, rx, ry = thing.x * width + lean, thing.y * height, 0.56 * size, 0.1 * size
    x0, x1 = max(int(cx - 1.5 * rx), 0), min(int(cx + 1.5 * rx), width)
    y0, y1 = max(int(cy - 2 * ry), 0), min(int(cy + 2 * ry), height)
    xx = ((np.arange(x0, x1) - cx) / rx).astype(np.float32)[None]
    yy = ((np.arange(y0, y1) - cy) / ry).astype(np.float32)[:, None]
    strength = np.clip(1.35 - np.sqrt(xx**2 + yy**2), 0, 1) * 0.5
    crop = picture[y0:y1, x0:x1]
    crop *= 1 - strength[..., None] * np.array((0.85, 0.8, 0.6), np.float32)


def blend(picture: Picture, colour: Colour, cover: Mask) -> None:
    """Lay a colour over the picture where cover (H, W) is 1."""
    picture += cover[..., None].astype(np.float32) * (np.array(colour, np.float32) - picture)


def blend_below(picture: Picture, crest: Mask, bottom: float, colour: Colour) -> None:
    """Fill between a crest line, (W,) in fractions of the height, and a row."""
    height = picture.shape[0]
    y0, y1 = max(int(crest.min() * height) - 2, 0), int(bottom * height)
    rows = np.arange(y0, y1, dtype=np.float32)[:, None]
    blend(picture[y0:y1], colour, np.clip(rows - crest[None] * height + 0.5, 0, 1))


def dot(picture: Picture, x: float, y: float, radius: float, colour: Colour) -> None:
    """A small filled circle with soft edges."""
    cv2.circle(picture, (round(x * 16), round(y * 16)), round(radius * 16), colour, -1, cv2.LINE_AA, 4)


def blade(picture: Picture, x: float, y: float, length: float, colour: Colour) -> None:
    """Three blades of grass."""
    for lean in (-0.5, 0.0, 0.5):
        tip = (round(x + lean * length), round(y - length))
        cv2.line(picture, (round(x), round(y)), tip, colour, max(1, round(length * 0.12)), cv2.LINE_AA)


def ridge(width: int, rng: np.random.Generator, waves: float) -> NDArray[np.float32]:
    """A wavy line, (width,), between 0 and 1."""
    x = np.linspace(0, 2 * np.pi, width, dtype=np.float32)
    line = np.zeros(width, np.float32)
    for octave, weight in ((1.0, 1.0), (2.1, 0.5), (4.3, 0.2)):
        line += weight * np.sin(x * waves * 0.5 * octave + float(rng.uniform(0, 7)))
    return np.clip(0.5 + line / 3.0, 0, 1)


def cloud(width: int, height: int, rng: np.random.Generator) -> Mask:
    """Wide soft shapes, (height, width), about 0 to 1."""
    total = np.zeros((height, width), np.float32)
    for cells, weight in ((3, 0.5), (6, 0.3), (13, 0.2)):
        grid = rng.random((cells + 2, max(2, round(cells * 0.55 * width / height) + 2))).astype(np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return total


@cache
def noise() -> Mask:
    """A fixed square of soft noise in [0, 1]."""
    rng = np.random.default_rng(7)
    total = np.zeros((512, 512), np.float32)
    for cells, weight in ((24, 0.45), (60, 0.35), (130, 0.2)):
        total += weight * cv2.resize(
            rng.random((cells, cells)).astype(np.float32), (512, 512), interpolation=cv2.INTER_CUBIC
        )
    return np.clip((total - 0.5) * 1.6 + 0.5, 0, 1)
