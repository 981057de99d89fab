"""End the requests that were not finished in the time their senders gave them.

As with leases, the time is this process's own monotonic clock, from when it first saw the request: no jump of
any wall clock ends one early. A server that was away in between begins to count anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from safelight.queue.store import Store
from safelight.upkeep.maintenance import repeat

TICK_S = 1.0

log = structlog.get_logger()


class Deadlines:
    """Watches all unfinished jobs that have a deadline. Running it twice is safe, the database decides."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._due_s: dict[str, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second until `stop` is set."""
        await repeat(self.tick, TICK_S, stop)

    async def tick(self) -> None:
        """Cancel the jobs whose time is over."""
        now_s = self._clock()
        pending = await self._store.with_deadline()
        self._due_s = {job_id: self._due_s.get(job_id, now_s + after_s) for job_id, after_s in pending}
        for job_id, due_s in self._due_s.items():
            if now_s >= due_s:
                status = await self._store.overdue(job_id)
                log.info("deadline_exceeded", job_id=job_id, status=status)
