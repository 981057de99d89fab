"""What else is known of a scene: masks, boxes, edges, depth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from safelight.engine.skeleton import Figure, draw_skeletons
from training.paint import joints_of, parts_of, place_points
from training.world import Scene

Grey = NDArray[np.uint8]

OPENPOSE_JOINTS = 18
"""Those of `training.shapes.JOINTS`, and eyes and ears."""


def mask(scene: Scene, width: int, height: int, index: int = 0) -> Grey:
    """The silhouette of one object, hidden parts included: (height, width), 0 or up to 255."""
    thing = scene.things[index]
    canvas = np.zeros((height, width), np.uint8)
    for part in parts_of(scene, thing):
        points = place_points(part.points, thing, thing.height * min(width, height), width, height)
        cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return canvas


def box(scene: Scene, width: int, height: int, index: int = 0) -> tuple[int, int, int, int]:
    """The object's bounding box in pixels: left, top, right, bottom."""
    x, y, w, h = cv2.boundingRect((mask(scene, width, height, index) > 127).astype(np.uint8))
    return x, y, x + w, y + h


def edges(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """White lines on black, RGB, as a canny preprocessor makes them: (H, W, 3)."""
    lines = cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 100, 200)
    return cv2.cvtColor(lines, cv2.COLOR_GRAY2RGB)


def depth(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """Near is bright, the sky black, RGB: (height, width, 3)."""
    rows = np.arange(height, dtype=np.float32) / height
    ground = np.clip((rows - scene.horizon) / (1 - scene.horizon), 0, 1)
    level = np.where(rows >= scene.horizon, 0.15 + 0.75 * ground, 0.0)
    canvas = np.repeat(level[:, None], width, 1).astype(np.float32)
    for index, thing in enumerate(scene.things):
        near = 0.15 + 0.75 * max((thing.y - scene.horizon) / (1 - scene.horizon), 0.25)
        cover = mask(scene, width, height, index).astype(np.float32) / 255
        canvas += cover * (near + 0.05 - canvas)
    return cv2.cvtColor((np.clip(canvas, 0, 1) * 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)


def pose(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """The figures' skeletons on black, as the product draws those it finds: RGB, (height, width, 3)."""
    unit = min(width, height)
    figures = []
    for thing in (thing for thing in scene.things if thing.kind == "person"):
        points = place_points(joints_of(scene, thing), thing, thing.height * unit, width, height)
        unseen = [None] * (OPENPOSE_JOINTS - len(points))  # eyes and ears
        figures.append(Figure((*((float(x), float(y)) for x, y in points), *unseen)))
    return np.asarray(draw_skeletons(figures, (width, height)))


def shape(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """The objects' silhouettes, white on black, RGB: (height, width, 3)."""
    whole = np.max([mask(scene, width, height, i) for i in range(len(scene.things))], 0)
    return cv2.cvtColor(whole.astype(np.uint8), cv2.COLOR_GRAY2RGB)


def control(scene: Scene, picture: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """A control image of a painted scene: kind is "edges", "depth", "shape" or "pose"."""
    if kind == "edges":
        return edges(picture)
    height, width = picture.shape[:2]
    return {"depth": depth, "shape": shape, "pose": pose}[kind](scene, width, height)
