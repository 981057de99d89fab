"""How often something may happen: submissions of an account or a key in any minute, and what else is counted.

Counted in this process, by a clock that only moves forward: when the machine's time is set, nobody is
refused for it, and a restart forgets. A server of several API processes counts in each of them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from safelight.callers import Caller
from safelight.errors import RateLimited
from safelight.texts import Text

MINUTE_S = 60.0


@dataclass(frozen=True)
class Window:
    """What is left of a limit. reset_s: seconds until all of it is there again."""

    limit: int
    remaining: int
    reset_s: int


class Recent:
    """When each of many names was counted in the last `span_s` seconds. What is older is forgotten."""

    def __init__(self, span_s: float) -> None:
        self.span_s = span_s
        self._times: dict[str, deque[float]] = {}

    def __len__(self) -> int:
        return len(self._times)

    def times(self, name: str, now: float) -> Sequence[float]:
        """When a name was counted, the oldest first."""
        times = self._times.get(name, deque())
        while times and times[0] <= now - self.span_s:
            times.popleft()
        return times

    def wait_s(self, name: str, most: int, now: float) -> float:
        """Seconds until a name may be counted once more; 0: it may be now."""
        times = self.times(name, now)
        return times[len(times) - most] + self.span_s - now if len(times) >= most else 0

    def add(self, name: str, now: float) -> None:
        """Count a name."""
        times = self._times.pop(name, deque())
        times.append(now)
        self._times[name] = times  # Behind all others, so that what can be forgotten is in front.
        while (first := next(iter(self._times))) != name and self._is_over(first, now):
            del self._times[first]

    def take_back(self, name: str, at: float) -> None:
        """Have a name counted once less."""
        times = self._times.get(name, deque())
        if at in times:
            times.remove(at)

    def _is_over(self, name: str, now: float) -> bool:
        return not self.times(name, now)


class Rates:
    """The submissions of the last minute, by account and by key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent = Recent(MINUTE_S)

    def windows(self, caller: Caller) -> list[Window]:
        """What is left to a caller, of each limit that it has."""
        now = self._clock()
        return [_window(self._recent.times(name, now), most, now) for name, most in _limits(caller)]

    def count(self, caller: Caller) -> list[Window]:
        """Count a submission. Returns what is left after it. Raises RateLimited, and then counts nothing."""
        now = self._clock()
        limits = _limits(caller)
        for name, most in limits:
            if wait_s := self._recent.wait_s(name, most, now):
                raise _too_many(name, most, wait_s)
        for name, _ in limits:
            self._recent.add(name, now)
        return [_window(self._recent.times(name, now), most, now) for name, most in limits]


_IN_KOREAN = {"account": "계정", "key": "키"}


def tightest(windows: Sequence[Window]) -> Window | None:
    """The window with the least left; None: there is no limit."""
    return min(windows, key=lambda window: window.remaining, default=None)


def _limits(caller: Caller) -> list[tuple[str, int]]:
    account, key = caller.account.limits.requests_per_minute, caller.limits.requests_per_minute
    limits = [] if account is None else [(f"account {caller.account.id}", account)]
    if key is not None and caller.key_id is not None:
        limits.append((f"key {caller.key_id}", key))
    return limits


def _window(times: Sequence[float], most: int, now: float) -> Window:
    reset_s = ceil(times[-1] + MINUTE_S - now) if times else 0
    return Window(most, max(0, most - len(times)), reset_s)


def _too_many(name: str, most: int, wait_s: float) -> RateLimited:
    whose = name.split()[0]
    return RateLimited(
        Text(
            f"This {whose} may submit {most} requests in a minute, and has.",
            f"이 {_IN_KOREAN[whose]}은(는) 1분에 요청을 {most}개까지 보낼 수 있고, 이미 다 보냈습니다.",
        ),
        retry_after_s=max(1, ceil(wait_s)),
    )
