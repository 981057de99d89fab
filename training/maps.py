"""What else is known of a scene: masks, boxes, edges, depth."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.paint import joints_of, parts_of, place_points
from training.shapes import JOINTS
from training.world import Scene

Grey = NDArray[np.uint8]


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
    """The figures' skeletons as OpenPose draws them, on black, RGB: (height, width, 3)."""
    canvas = np.zeros((height, width, 3), np.uint8)
    unit = min(width, height)
    for thing in (thing for thing in scene.things if thing.kind == "person"):
        points = place_points(joints_of(scene, thing), thing, thing.height * unit, width, height)
        for (start, stop), colour in zip(LIMBS, LIMB_COLOURS, strict=True):
            a, b = (np.round(points[JOINTS.index(name)] * 16).astype(int).tolist() for name in (start, stop))
            cv2.line(canvas, a, b, colour, max(2, round(unit * 0.008)), cv2.LINE_AA, 4)
        for point, colour in zip(np.round(points * 16).astype(int).tolist(), JOINT_COLOURS, strict=True):
            cv2.circle(canvas, point, max(2, round(unit * 0.008)) * 16, colour, -1, cv2.LINE_AA, 4)
    return canvas


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


LIMBS: Final = (
    ("neck", "right shoulder"),
    ("neck", "left shoulder"),
    ("right shoulder", "right elbow"),
    ("right elbow", "right wrist"),
    ("left shoulder", "left elbow"),
    ("left elbow", "left wrist"),
    ("neck", "right hip"),
    ("right hip", "right knee"),
    ("right knee", "right ankle"),
    ("neck", "left hip"),
    ("left hip", "left knee"),
    ("left knee", "left ankle"),
    ("neck", "nose"),
)
_WHEEL: Final = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)),
    *((0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)),
)
LIMB_COLOURS: Final = _WHEEL[: len(LIMBS)]
JOINT_COLOURS: Final = _WHEEL
"""OpenPose's colours, RGB."""
