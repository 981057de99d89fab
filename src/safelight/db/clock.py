"""A wall clock that nobody can set: it goes on from where this process found the machine's.

What is kept for hours or days is counted by it, so that a jump of the machine's clock expires nothing early.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def _elapsed_s() -> float:
    """Seconds that only go forward; where the system tells them, with the time that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SteadyClock:
    """Tells the time in UTC."""

    def __init__(
        self, wall_s: Callable[[], float] = time.time, elapsed_s: Callable[[], float] = _elapsed_s
    ) -> None:
        self._elapsed_s = elapsed_s
        self._offset_s = wall_s() - elapsed_s()

    def now(self) -> datetime:
        """The time."""
        return datetime.fromtimestamp(self._offset_s + self._elapsed_s(), UTC)


STEADY = SteadyClock()
"""This process's own."""


def expiry(keep_for: timedelta | None) -> datetime | None:
    """Until when what comes now is kept; None: for ever."""
    return STEADY.now() + keep_for if keep_for else None
