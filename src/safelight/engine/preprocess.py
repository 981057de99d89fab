"""What the ControlNet is shown: the input image, or its edges, its depth or the figures in it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling
from transformers import (
    AutoImageProcessor,
    DepthAnythingForDepthEstimation,
    RTDetrForObjectDetection,
    VitPoseForPoseEstimation,
)

from safelight.engine.joints import Box, joints_in
from safelight.engine.skeleton import Figure, draw_skeletons
from safelight.models.base import LoadContext, Run

CANNY_LOW = 100
CANNY_HIGH = 200
PERSON = "person"
MIN_PERSON_SCORE = 0.3
MAX_PEOPLE = 20


def preprocess(kind: str, image: Image.Image, run: Run) -> Image.Image:
    """Turn an RGB image into a guide of the same size and mode. kind: none, canny, depth or pose."""
    match kind:
        case "canny":
            return canny(image)
        case "depth":
            return depth(image, run.context)
        case "pose":
            return pose(image, run)
    return image


def canny(image: Image.Image) -> Image.Image:
    """The edges, white on black."""
    edges = cv2.Canny(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY), CANNY_LOW, CANNY_HIGH)
    return Image.fromarray(cv2.cvtColor(edges, cv2.COLOR_GRAY2RGB))


def depth(image: Image.Image, context: LoadContext) -> Image.Image:
    """The depth: near is white, far is black, whatever range the picture has."""
    model = context.part("depth", DepthAnythingForDepthEstimation)
    inputs = _inputs(context, "depth", model, image)
    with torch.inference_mode():
        # (1, h, w): the larger the nearer, in no unit.
        found = model(**inputs).predicted_depth[0].float().cpu().numpy()
    low, high = float(found.min()), float(found.max())
    grey = np.uint8(np.round((found - low) / max(high - low, 1e-6) * 255))
    return Image.fromarray(grey).resize(image.size, Resampling.BICUBIC).convert("RGB")


def pose(image: Image.Image, run: Run) -> Image.Image:
    """The skeletons of the people, in OpenPose's colours on black; that there are none is noted."""
    context = run.context
    boxes = people(image, context)
    figures = figures_in(image, boxes, context) if boxes else []
    if not any(joint for figure in figures for joint in figure.joints):
        run.note("No person was found in the image, so there is no pose to follow.")
    return draw_skeletons(figures, image.size)


def people(image: Image.Image, context: LoadContext) -> list[Box]:
    """Where people are. Nano weights have no detector: the whole image is one person's."""
    if not context.has("person_detector"):
        return [[0.0, 0.0, float(image.width), float(image.height)]]
    model = context.part("person_detector", RTDetrForObjectDetection)
    processor: Any = context.part("person_detector", AutoImageProcessor)
    inputs = _inputs(context, "person_detector", model, image)
    with torch.inference_mode():
        outputs = model(**inputs)
    (found,) = processor.post_process_object_detection(
        outputs, target_sizes=[(image.height, image.width)], threshold=MIN_PERSON_SCORE
    )
    persons = [number for number, name in model.config.id2label.items() if name == PERSON]
    ranked = sorted(zip(found["scores"], found["labels"], found["boxes"], strict=True), key=lambda f: -f[0])
    corners = [box.tolist() for _, label, box in ranked if int(label) in persons][:MAX_PEOPLE]
    return [[left, top, right - left, bottom - top] for left, top, right, bottom in corners]


def figures_in(image: Image.Image, boxes: list[Box], context: LoadContext) -> list[Figure]:
    """The joints of each person."""
    model = context.part("pose", VitPoseForPoseEstimation)
    found = [joints_in(model, image, box) for box in boxes]
    return [Figure.from_coco(points.tolist(), scores.tolist()) for points, scores in found]


def _inputs(context: LoadContext, part: str, model: Any, image: Image.Image) -> Any:
    processor: Any = context.part(part, AutoImageProcessor)
    return processor(images=image, return_tensors="pt").to(model.device, model.dtype)
