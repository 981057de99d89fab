"""A tutor for image models: what it knows of the world is asked of a model's middle layers.

Flow matching alone tells a small model little about outlines: an object is few of the pixels, and noise
hides it. The program that painted a picture knows what each token holds. A small head reads that from
the hidden states half way through the model, and its error is part of the loss; the head is thrown away
afterwards. The idea is that of REPA (Yu et al. 2024), with the truth in the place of another model's
features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from training import maps
from training.world import COLOURS, KINDS, Scene

TOKEN: Final = 32
"""Pixels of a token's side."""
CELLS: Final = 4
"""Cells of a token's side in which the outlines are asked for."""
ANSWERS: Final = CELLS * CELLS + len(KINDS) + len(COLOURS)


def answers(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """What each token of a scene's picture holds, 0 to 255: (width / 32 * height / 32, 33).

    First how much of each of its 4 x 4 cells is object, then of the whole token each kind, each colour.
    """
    columns, rows, cell = width // TOKEN, height // TOKEN, TOKEN // CELLS
    kinds = np.zeros((rows, columns, len(KINDS)), np.float32)
    colours = np.zeros((rows, columns, len(COLOURS)), np.float32)
    cells = np.zeros((rows * CELLS, columns * CELLS), np.float32)
    for index, thing in enumerate(scene.things):  # the nearer ones, later, hide the farther ones
        whole = maps.mask(scene, width, height, index)
        fine = cv2.resize(whole, (width // cell, height // cell), interpolation=cv2.INTER_AREA)
        cells = np.maximum(cells, fine)
        cover = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)[..., None]
        for channels, chosen in ((kinds, KINDS.index(thing.kind)), (colours, COLOURS.index(thing.colour))):
            channels *= 1 - cover / 255
            channels[..., chosen] += cover[..., 0]
    inner = cells.reshape(rows, CELLS, columns, CELLS).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    return np.concatenate([inner, kinds, colours], 2).round().astype(np.uint8).reshape(rows * columns, -1)


class Tutor(nn.Module):
    """The head that reads hidden states of `width` channels.

    asked: how many answers it wants of each token; the first `covers` of them say how much is object.
    """

    def __init__(self, width: int, asked: int = ANSWERS, covers: int = CELLS * CELLS) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, asked)
        )
        self._covers = covers
        self._heard: list[Tensor] = []

    @contextmanager
    def listening(self, layer: nn.Module) -> Iterator[None]:
        """Hear what `layer` says: its output, or the last of its outputs, (B, tokens, width)."""

        def hear(module: nn.Module, given: Any, said: Any) -> None:
            self._heard = [said[-1] if isinstance(said, tuple) else said]

        handle = layer.register_forward_hook(hear)
        try:
            yield
        finally:
            handle.remove()

    def loss(self, truth: Tensor, first: int = 0) -> Tensor:
        """Cross-entropy of what was heard of the picture's tokens, from `first` on; objects weigh more.

        truth: (B, tokens, asked) in [0, 1]; `answers` gives it for the usual questions.
        """
        (heard,) = self._heard
        said = self.head(heard[:, first : first + truth.shape[1]].float())
        error = nn.functional.binary_cross_entropy_with_logits(said, truth, reduction="none").mean(2)
        weight = 1 + 3 * truth[..., : self._covers].mean(2)
        return (error * weight).sum() / weight.sum()
