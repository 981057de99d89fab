"""Pictures for the autoencoder: crops of painted scenes and of their maps, at the sizes people ask for."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import maps
from training.paint import draw
from training.world import Scene

Picture = NDArray[np.uint8]

SIZES: Final = ((256, 256), (384, 288), (288, 384), (512, 512), (512, 512), (768, 576), (1024, 1024))
"""(width, height) of what is drawn; small ones too, where more of the pixels are edges."""


class Bank:
    """Some hundred pictures, one replaced at each draw, from which crops are cut."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._pictures = [paint(rng) for _ in range(size)]

    def crops(self, count: int, side: int, rng: np.random.Generator) -> Tensor:
        """Squares from as many pictures: (count, 3, side, side), float in [-1, 1]."""
        self._pictures[int(rng.integers(len(self._pictures)))] = paint(rng)
        chosen = rng.choice(len(self._pictures), count, replace=False)
        painted = (self._pictures[i] for i in chosen)
        return to_tensor([cut(picture, focus, side, rng) for picture, focus in painted])


def paint(rng: np.random.Generator) -> tuple[Picture, tuple[int, int]]:
    """A picture, or one of the things that pictures are turned into; and a point worth a closer look."""
    scene = Scene.random(rng)
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    picture = draw(scene, width, height)
    left, top, right, bottom = maps.box(scene, width, height, int(rng.integers(len(scene.things))))
    chance = rng.random()
    if chance < 0.12:
        picture = maps.edges(picture)
    elif chance < 0.16:
        picture = maps.depth(scene, width, height)
    elif chance < 0.20:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif chance < 0.26:  # colours that the world does not have
        mix = rng.dirichlet((0.5, 0.5, 0.5), 3)
        picture = np.clip(picture @ mix.T, 0, 255).astype(np.uint8)
    return picture, ((left + right) // 2, (top + bottom) // 2)


def cut(picture: Picture, focus: tuple[int, int], side: int, rng: np.random.Generator) -> Picture:
    """A square of the picture, more often than not near the focus; sometimes mirrored."""
    height, width = picture.shape[:2]
    if rng.random() < 0.65:
        x, y = (np.array(focus) + rng.normal(0, 0.14, 2) * min(width, height) - side / 2).astype(int)
    else:
        x, y = rng.integers(0, (width - side + 1, height - side + 1))
    x, y = int(np.clip(x, 0, width - side)), int(np.clip(y, 0, height - side))
    crop = picture[y : y + side, x : x + side]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def to_tensor(pictures: list[Picture]) -> Tensor:
    """uint8 (H, W, 3) each to float (B, 3, H, W) in [-1, 1]."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(pictures)))
    return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_picture(tensor: Tensor) -> Picture:
    """Float (3, H, W) in [-1, 1] to uint8 (H, W, 3)."""
    array: Picture = ((tensor.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    return array
