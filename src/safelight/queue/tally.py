"""What became of jobs since this process began to look, whoever ran them: counted from the database.

No clock and no message is needed: a job that was unfinished and is so no longer has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.database import Database
from safelight.db.tables import IN_PROGRESS, IN_QUEUE, jobs
from safelight.jobs import JobStatus

CHUNK = 200
"""Rows that are read in one go: on SQLite that happens on the event loop."""

MAX_MISSED = 20
"""How often a job is looked for whose number was given out: on Postgres a later one may be seen earlier."""


@dataclass(frozen=True)
class Ended:
    """How a job ended. wait_s: from its submission to the start of its last attempt, None without one."""

    model_id: str
    status: JobStatus
    code: str
    worker_id: str | None
    wait_s: float | None
    timings: Mapping[str, float]


@dataclass(frozen=True)
class Waiting:
    """The queue of one model."""

    model_id: str
    count: int
    oldest_at: datetime


@dataclass(frozen=True)
class Running:
    """How many jobs of a model a worker holds."""

    model_id: str
    worker_id: str
    count: int


class Tally:
    """Follows the jobs of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest = 0
        self._missed: dict[int, int] = {}  # unfinished jobs by `seq`, and how often they were not there
        self._one_at_a_time = asyncio.Lock()

    async def begin(self) -> None:
        """Count from here on."""
        self._newest, unfinished = await self._database.read(_unfinished)
        self._missed = dict.fromkeys(unfinished, 0)

    async def ended(self) -> list[Ended]:
        """The jobs that have ended since this was last asked. Raises Unavailable; then nothing is lost."""
        async with self._one_at_a_time:
            newest, unfinished = await self._database.read(_unfinished)
            open_before = self._missed | dict.fromkeys(range(self._newest + 1, newest + 1), 0)
            over = [seq for seq in open_before if seq not in unfinished]
            found: dict[int, Ended] = {}
            for at in range(0, len(over), CHUNK):
                found |= await self._database.read(partial(_rows, seqs=over[at : at + CHUNK]))
                await asyncio.sleep(0)
            missed = {seq: open_before[seq] + 1 for seq in over if seq not in found}
            self._missed = dict.fromkeys(unfinished, 0)
            self._missed |= {seq: times for seq, times in missed.items() if times < MAX_MISSED}
            self._newest = newest
            return list(found.values())

    async def waiting(self) -> list[Waiting]:
        """The queue by model."""
        heads = (
            sa.select(
                jobs.c.model_id, sa.func.count().label("count"), sa.func.min(jobs.c.seq).label("oldest")
            )
            .where(IN_QUEUE)
            .group_by(jobs.c.model_id)
            .subquery()
        )
        query = sa.select(heads.c.model_id, heads.c.count, jobs.c.created_at).join(
            jobs, jobs.c.seq == heads.c.oldest
        )
        return [Waiting(*row) for row in await self._database.read(lambda found: found.execute(query).all())]

    async def running(self) -> list[Running]:
        """What workers hold, by model."""
        query = (
            sa.select(jobs.c.model_id, jobs.c.worker_id, sa.func.count())
            .where(IN_PROGRESS)
            .group_by(jobs.c.model_id, jobs.c.worker_id)
        )
        return [Running(*row) for row in await self._database.read(lambda found: found.execute(query).all())]


def _unfinished(connection: Connection) -> tuple[int, set[int]]:
    # The newest is asked for first: a job that comes in between is unfinished, or found the next time.
    newest = connection.execute(sa.select(sa.func.max(jobs.c.seq))).scalar() or 0
    either = (
        connection.execute(sa.select(jobs.c.seq).where(where)).scalars() for where in (IN_QUEUE, IN_PROGRESS)
    )
    return newest, {seq for found in either for seq in found if seq <= newest}


def _rows(connection: Connection, seqs: list[int]) -> dict[int, Ended]:
    query = sa.select(jobs).where(jobs.c.seq.in_(seqs))
    return dict(_ended(connection.execute(query)))


def _ended(rows: sa.CursorResult[tuple[object, ...]]) -> Iterator[tuple[int, Ended]]:
    for row in rows:
        status = JobStatus(row.status)
        if status.is_final:
            wait_s = (row.started_at - row.created_at).total_seconds() if row.started_at else None
            code = row.error["code"] if row.error else ""
            timings = row.report["timings"] if row.report else {}
            yield row.seq, Ended(row.model_id, status, code, row.worker_id, wait_s, timings)
