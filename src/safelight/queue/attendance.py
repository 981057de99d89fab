"""Which workers there are, and what each has in memory: they say so themselves, for people to see.

Nothing depends on it: leases alone decide whose job is whose. A worker that died is shown as silent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.database import Database
from safelight.db.tables import workers
from safelight.errors import StorageFull, Unavailable
from safelight.jobs import Json

LOOK_S = 1.0
SAY_S = 10.0
SILENT_AFTER = timedelta(seconds=3 * SAY_S)
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Present:
    """A worker. resident: the ids of the models that are in its memory."""

    id: str
    device: str
    resident: tuple[str, ...]
    started_at: datetime
    seen_at: datetime

    def is_silent(self, now: datetime) -> bool:
        """Whether it should have said something by now."""
        return now - self.seen_at > SILENT_AFTER


class Attendance:
    """The list of workers in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def attending(
        self, worker_id: str, device: str, resident: Callable[[], Iterable[str]]
    ) -> AsyncIterator[None]:
        """Keep a worker on the list until the block ends. A database that is away stops nothing."""
        saying = asyncio.create_task(self._keep_saying(worker_id, device, resident))
        try:
            yield
        finally:
            saying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await saying
            with contextlib.suppress(Unavailable, StorageFull):
                gone = sa.delete(workers).where(workers.c.id == worker_id)
                await self._database.write(lambda connection: connection.execute(gone).close())

    async def say(self, worker_id: str, device: str, resident: Iterable[str]) -> None:
        """Put a worker on the list, or renew what it says."""
        now = datetime.now(UTC)
        row: Json = {"id": worker_id, "device": device, "resident": sorted(resident), "seen_at": now}
        await self._database.write(lambda connection: _put(connection, row))

    async def all(self) -> list[Present]:
        """Every worker that has not been silent for a day, the oldest first."""
        since = datetime.now(UTC) - FORGOTTEN_AFTER
        query = sa.select(workers).where(workers.c.seen_at > since).order_by(workers.c.started_at)
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [Present(**{**row, "resident": tuple(row["resident"])}) for row in rows]

    async def _keep_saying(self, worker_id: str, device: str, resident: Callable[[], Iterable[str]]) -> None:
        said, said_s = None, 0.0
        clock = asyncio.get_running_loop().time
        while True:
            now = frozenset(resident())
            if now != said or clock() - said_s >= SAY_S:
                with contextlib.suppress(Unavailable, StorageFull):
                    await self.say(worker_id, device, now)
                said, said_s = now, clock()
            await asyncio.sleep(LOOK_S)


def _put(connection: Connection, row: Json) -> None:
    this = workers.c.id == row["id"]
    if connection.execute(sa.update(workers).where(this).values(row)).rowcount == 0:
        connection.execute(sa.insert(workers).values(row | {"started_at": row["seen_at"]}))
        forgotten = row["seen_at"] - FORGOTTEN_AFTER
        connection.execute(sa.delete(workers).where(workers.c.seen_at < forgotten))
