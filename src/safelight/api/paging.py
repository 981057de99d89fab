"""Lists that are read page by page: a page goes on behind the last thing of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Listed(Protocol):
    """What lists are of."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


T = TypeVar("T", bound=Listed)


def page_of(found: Sequence[T], limit: int) -> tuple[Sequence[T], str | None]:
    """A page and the cursor of the next one. found: one more than fits, where there is more."""
    page = found[:limit]
    return page, page[-1].id if len(found) > limit else None
