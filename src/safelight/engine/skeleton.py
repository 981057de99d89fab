"""A figure's skeleton as OpenPose draws it: the colours and limbs that union ControlNets were trained on.

18 joints, which are COCO's 17 and the neck between the shoulders; 17 limbs as ellipses at 60 % brightness
over black, joints as discs of full brightness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

Point = tuple[float, float]

MIN_SCORE = 0.3
"""Joints below it count as unseen."""

NOSE, NECK = 0, 1
_FROM_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""OpenPose's order (nose, neck, right arm, left arm, right leg, left leg, eyes, ears) by COCO's numbers."""
_COCO_SHOULDERS = (5, 6)

LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)),
    *((0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)),
    *((170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
"""RGB, of the joints; the limbs have those of the same number."""

LIMB_BRIGHTNESS = 0.6
_WIDTH = 4 / 512
"""Half a limb's thickness and a joint's radius, as a part of the image's shorter side."""


@dataclass(frozen=True)
class Figure:
    """One person's 18 joints in OpenPose's order, in pixels; None is unseen."""

    joints: tuple[Point | None, ...]

    @classmethod
    def from_coco(cls, points: Sequence[Point], scores: Sequence[float]) -> Figure:
        """From COCO's 17 keypoints and how sure each one is, in [0, 1]."""
        seen = [
            (float(x), float(y)) if score >= MIN_SCORE else None
            for (x, y), score in zip(points, scores, strict=True)
        ]
        left, right = (seen[number] for number in _COCO_SHOULDERS)
        neck = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2) if left and right else None
        return cls(tuple(neck if number is None else seen[number] for number in _FROM_COCO))


def draw_skeletons(figures: Sequence[Figure], size: tuple[int, int]) -> Image.Image:
    """All figures on black, RGB; size: (width, height) in pixels."""
    canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    half = max(1, round(min(size) * _WIDTH))
    for figure in figures:
        for (start, end), colour in zip(LIMBS, COLOURS, strict=False):
            _limb(canvas, figure.joints[start], figure.joints[end], colour, half)
    canvas = (canvas * LIMB_BRIGHTNESS).astype(np.uint8)
    for figure in figures:
        for joint, colour in zip(figure.joints, COLOURS, strict=True):
            if joint:
                cv2.circle(canvas, _pixel(joint), half, colour, thickness=-1)
    return Image.fromarray(canvas)


def _limb(
    canvas: np.ndarray, start: Point | None, end: Point | None, colour: tuple[int, int, int], half: int
) -> None:
    if start is None or end is None:
        return
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    length = math.dist(start, end)
    angle = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
    outline = cv2.ellipse2Poly(_pixel(middle), (int(length / 2), half), int(angle), 0, 360, 1)
    cv2.fillConvexPoly(canvas, outline, colour)


def _pixel(point: Point) -> tuple[int, int]:
    return round(point[0]), round(point[1])
