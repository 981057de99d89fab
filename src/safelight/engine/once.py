"""What the steps of one job have in common, computed in the first of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Memo:
    """Results by name, each with what it was computed from; the same objects again give the same result."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[tuple[object, ...], Any]] = {}

    def once(self, name: Hashable, inputs: tuple[object, ...], compute: Callable[[], T]) -> T:
        """What `compute` returned for these very objects, or now returns.

        Identity, since comparing tensors on a GPU would wait for it. Nobody may write into an input.
        """
        known = self._found.get(name)
        if known is None or not _same(known[0], inputs):
            # The inputs are held, so that no other object can come to lie at their address.
            known = self._found[name] = (inputs, compute())
        result: T = known[1]
        return result


class Remembers(Protocol):
    """A module that can use a memo; without one it computes everything anew."""

    memo: Memo | None


@contextmanager
def remembering(*modules: Remembers) -> Iterator[None]:
    """Have modules share what they compute within the block: that is one job, with its LoRAs."""
    memo = Memo()
    for module in modules:
        module.memo = memo
    try:
        yield
    finally:
        for module in modules:
            module.memo = None


def _same(held: tuple[object, ...], given: tuple[object, ...]) -> bool:
    return len(held) == len(given) and all(one is other for one, other in zip(held, given, strict=True))
