"""Prompts as the networks read them: kept for the next job that says the same, read as deep as needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

MAX_BYTES = 128 * 2**20
"""What the kept prompts of one text encoder may take up on its device: those of about 16 to 50 prompts."""

_kept: WeakKeyDictionary[Any, OrderedDict[Hashable, Tensor]] = WeakKeyDictionary()


def embeddings(encoder: Any, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
    """What `compute` gave for a key before with this encoder, or now gives.

    key: all that the embeddings depend on beside the encoder's weights, which no LoRA changes.
    """
    kept = _kept.setdefault(encoder, OrderedDict())
    if key in kept:
        kept.move_to_end(key)
        return kept[key]
    found = kept[key] = compute()
    while sum(map(_size, kept.values())) > MAX_BYTES and len(kept) > 1:
        kept.popitem(last=False)
    return found


@contextmanager
def read_up_to(encoder: Any, layer: int) -> Iterator[None]:
    """Have an encoder stop where its hidden state of this number is known; 0 is before the first layer.

    One layer more is run: what leaves the last one is normalised, which no inner state is.
    """
    config = encoder.config
    depth = config.num_hidden_layers
    config.num_hidden_layers = min(depth, layer + 1)
    try:
        yield
    finally:
        config.num_hidden_layers = depth


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
