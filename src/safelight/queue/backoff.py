"""Waiting that can be told to stop, and waiting that grows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any


def backoff(longest_s: float = 5) -> Iterator[float]:
    """Seconds to wait before each retry: half a second, doubled up to a bound."""
    delay_s = 0.5
    while True:
        yield delay_s
        delay_s = min(longest_s, 2 * delay_s)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Await `work` unless `stop` is set first. Returns whether the work was done and `stop` not set."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return not stop.is_set()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
