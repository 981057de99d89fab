"""Remove what is past its time, and bytes that belong to nothing. Running it twice is safe."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice

import structlog

from safelight.files.files import FileStore
from safelight.files.records import BATCH, FileRecords
from safelight.queue.store import Store
from safelight.queue.webhooks import Webhooks
from safelight.upkeep.maintenance import repeat

TICK_S = 60.0
SCAN_S = 3600.0
SIGHTINGS = 24
"""In so many scans in a row bytes must have had no record: what is being stored gets its own in between."""

log = structlog.get_logger()


class Sweep:
    """Looks for what may go."""

    def __init__(self, store: Store, records: FileRecords, webhooks: Webhooks, files: FileStore) -> None:
        self._store = store
        self._records = records
        self._webhooks = webhooks
        self._files = files
        self._sightings: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Look every minute, and through the whole storage every hour, until `stop` is set."""
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat(self.tick, TICK_S, stop))
            group.create_task(repeat(self.scan, SCAN_S, stop))

    async def tick(self) -> None:
        """Remove what is past its time."""
        await self._store.forget_receipts()
        await self._webhooks.forget()
        # A crash between the two leaves bytes that no record keeps: the scan finds them.
        while expired := await self._records.expire():
            for file_id in expired:
                await self._files.delete(file_id)
            log.info("files_expired", count=len(expired))

    async def scan(self) -> None:
        """Delete bytes that a crash left behind without a record, or with one that has given them up."""
        names = await asyncio.to_thread(lambda: list(self._files.names()))
        orphans: set[str] = set()
        for batch in _batches(names):
            orphans |= set(batch) - await self._records.kept(batch)
        self._sightings = {name: self._sightings.get(name, 0) + 1 for name in orphans}
        for name in [name for name, times in self._sightings.items() if times >= SIGHTINGS]:
            await self._files.delete(name)
            log.info("orphan_deleted", file_id=name)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while batch := list(islice(rest, BATCH)):
        yield batch
