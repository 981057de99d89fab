"""Z-Image's sequence for one image: what transformer and ControlNet both make of latents and a prompt.

diffusers' modules and their order, for a batch of one: no sequence is shorter than another, so there is
nothing to mask. What does not depend on the step, or is the same in both networks, is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from safelight.engine.once import Memo

PATCH, FRAMES = 2, 1
EMBEDDER = f"{PATCH}-{FRAMES}"


@dataclass(frozen=True)
class Tokens:
    """Part of a sequence. values: (1, length, dim). rotations: (1, length, head_dim / 2), complex."""

    values: Tensor
    rotations: Tensor

    def followed_by(self, other: Tokens) -> Tokens:
        """One sequence of two."""
        return Tokens(
            torch.cat((self.values, other.values), 1), torch.cat((self.rotations, other.rotations), 1)
        )


@dataclass(frozen=True)
class Grid:
    """Where the tokens of an image lie. padding: (length, 1), true where there is none; None: nowhere."""

    rotations: Tensor
    padding: Tensor | None


def prompt_tokens(model: Any, embeddings: Tensor, memo: Memo) -> Tokens:
    """A prompt, refined. embeddings: (tokens, text dim)."""

    def compute() -> Tokens:
        length = len(embeddings) + -len(embeddings) % 32
        padded, places, is_padding, _, _ = model._pad_with_ids(
            embeddings, (length, 1, 1), (1, 0, 0), embeddings.device
        )
        values = torch.where(is_padding[:, None], model.cap_pad_token, model.cap_embedder(padded))[None]
        rotations = model.rope_embedder(places[:length])[None]  # the last places are there twice
        for layer in model.context_refiner:
            values = layer(values, None, rotations)
        return Tokens(values, rotations)

    return memo.once("prompt", (embeddings,), compute)


def image_tokens(model: Any, latents: Tensor, after: int, memo: Memo) -> Tokens:
    """Latents, (channels, frames, H, W), behind a prompt of so many tokens."""

    def compute() -> Tokens:
        patches, _, shape = model._patchify_image(latents, PATCH, FRAMES)
        grid = grid_of(model, shape, after, latents.device, memo)
        return Tokens(embedded(model, model.all_x_embedder[EMBEDDER], patches, grid)[None], grid.rotations)

    return memo.once("image", (latents,), compute)


def grid_of(model: Any, shape: tuple[int, int, int], after: int, device: torch.device, memo: Memo) -> Grid:
    """The places of an image of (frames, rows, columns) tokens behind a prompt."""

    def compute() -> Grid:
        count = shape[0] * shape[1] * shape[2]
        nothing = torch.empty((count, 0), device=device)
        _, places, is_padding, length, _ = model._pad_with_ids(nothing, shape, (after + 1, 0, 0), device)
        return Grid(model.rope_embedder(places)[None], is_padding[:, None] if length > count else None)

    return memo.once(("grid", shape, after), (), compute)


def embedded(model: Any, embedder: Any, patches: Tensor, grid: Grid) -> Tensor:
    """Patches, (tokens, values), as the network reads them, filled up with its token for padding."""
    missing = grid.rotations.shape[1] - len(patches)
    if missing:
        patches = torch.cat((patches, patches[-1:].expand(missing, -1)))
    values: Tensor = embedder(patches)
    return values if grid.padding is None else torch.where(grid.padding, model.x_pad_token, values)


def time_embedding(model: Any, moment: Tensor, dtype: torch.dtype, memo: Memo) -> Tensor:
    """A step's time, (1,) in [0, 1], as every block is modulated by."""

    def compute() -> Tensor:
        embedding: Tensor = model.t_embedder(moment * model.t_scale)
        return embedding.to(dtype)

    return memo.once("time", (moment,), compute)


def first_refined(model: Any, image: Tokens, time: Tensor, memo: Memo) -> Tensor:
    """The image after the first refiner, which both networks begin with."""

    def compute() -> Tensor:
        refined: Tensor = model.noise_refiner[0](image.values, None, image.rotations, time)
        return refined

    return memo.once("refined", (image, time), compute)
