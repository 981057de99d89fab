"""Put jobs back whose worker died without a word.

A lease is a counter that moves, judged by this process's own monotonic clock: no other machine's clock and
no jump of the wall clock can expire one. Running it twice is safe, the database decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from safelight.errors import StorageFull, Unavailable
from safelight.queue.store import Store

LEASE_S = 30.0
TICK_S = 5.0

log = structlog.get_logger()


async def repeat(chore: Callable[[], Awaitable[None]], every_s: float, stop: asyncio.Event) -> None:
    """Do a chore again and again until `stop` is set; the database may be away meanwhile."""
    while not stop.is_set():
        try:
            await chore()
        except (Unavailable, StorageFull) as error:
            log.warning("database_away", reason=str(error))
        with suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await stop.wait()


class Maintenance:
    """Watches the heartbeats of all jobs in progress."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._since: dict[tuple[str, int, int], float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Look every few seconds until `stop` is set."""
        await repeat(self.tick, TICK_S, stop)

    async def tick(self) -> None:
        """Requeue the jobs whose heartbeat has not moved for a lease."""
        now = self._clock()
        running = await self._store.in_progress()
        self._since = {beat: self._since.get(beat, now) for beat in running}
        for beat, since in self._since.items():
            if now - since >= LEASE_S:
                await self._requeue(*beat)

    async def _requeue(self, job_id: str, attempt: int, heartbeats: int) -> None:
        status = await self._store.requeue_lost(job_id, attempt, heartbeats)
        if status:
            log.warning("job_lost", job_id=job_id, attempt=attempt, status=status)
