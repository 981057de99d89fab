"""A backend that is not here: somebody else's API, which draws with the operator's key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safelight.jobs import Json

LOCAL = "local"
UPSTREAM = "upstream"
"""The two backends, as a result names them."""


@dataclass(frozen=True)
class Order:
    """What an upstream shall draw.

    images: paths of the input files by field. task: what an earlier attempt has begun there, which is waited
    for instead of paying twice. remember: called with the task before it is waited for.
    """

    input: Json
    images: Mapping[str, Sequence[str]]
    task: str | None
    remember: Callable[[str], Awaitable[None]]


class Upstream(Protocol):
    """Draws one picture for an order, and waits for it without holding anything else up."""

    name: str
    """What draws there; a result tells it as its weights."""

    async def draw(self, order: Order, into: Path) -> None:
        """Have the order drawn and copy the picture's file to `into` at once. Raises UpstreamFailed."""
        ...

    async def call_off(self, task: str) -> None:
        """End a task that nobody wants any more, as far as the upstream can. Never raises."""
        ...
