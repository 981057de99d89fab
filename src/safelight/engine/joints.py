"""Find a person's joints with ViTPose: cut the person out, read the heat maps, go back to the image.

transformers' own processor for it needs SciPy; what it does is one affine map there and back.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

Box = list[float]
"""Left, top, width, height, in pixels."""

AROUND = 1.25
"""How much more than the box the model is shown, as in its training."""
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)


def joints_in(model: Any, image: Image.Image, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """COCO's 17 keypoints of the person in a box. Returns (17, 2) pixels of the image, and (17,) scores."""
    height, width = model.config.backbone_config.image_size
    there = crop_map(box, (width, height))
    crop = cv2.warpAffine(np.asarray(image), there, (width, height), flags=cv2.INTER_LINEAR)
    pixels = (crop.astype(np.float32) / 255 - MEAN) / DEVIATION
    given = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()).to(model.device, model.dtype)
    with torch.inference_mode():
        heat = model(pixel_values=given).heatmaps[0].float().cpu().numpy()
    points, scores = peaks(heat)
    # Heat maps and crop share their corners' centres: the first and last of one are those of the other.
    points = points * (np.array((width, height)) - 1) / (np.array(heat.shape[:0:-1]) - 1)
    back = cv2.invertAffineTransform(there)
    return points @ back[:, :2].T + back[:, 2], scores


def crop_map(box: Box, size: tuple[int, int]) -> np.ndarray:
    """The (2, 3) matrix from the image to a crop of that width and height, the box in its middle."""
    left, top, box_width, box_height = box
    width, height = size
    shown = AROUND * max(box_width / width, box_height / height)  # image pixels per crop pixel
    middle = np.array((left + box_width / 2, top + box_height / 2))
    shift = (np.array(size) - 1) / 2 - middle / shown
    return np.array(((1 / shown, 0, shift[0]), (0, 1 / shown, shift[1])))


def peaks(heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each of (joints, h, w) heat maps is hottest, to a quarter of a cell, and how hot."""
    count, height, width = heat.shape
    flat = heat.reshape(count, -1)
    ys, xs = np.divmod(flat.argmax(1), width)
    points = np.stack((xs, ys), 1).astype(np.float64)
    for joint, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if 0 < x < width - 1 and 0 < y < height - 1:
            around = heat[joint]
            points[joint] += 0.25 * np.sign(
                (around[y, x + 1] - around[y, x - 1], around[y + 1, x] - around[y - 1, x])
            )
    return points, flat.max(1)
