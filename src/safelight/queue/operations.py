"""What the operator of a server sees: the queue, what runs, and what has failed. Reading only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from safelight.db.database import Database
from safelight.db.tables import FAILED, IN_PROGRESS, IN_QUEUE, accounts, jobs
from safelight.jobs import JobError


@dataclass(frozen=True)
class Waiting:
    """The queued jobs of one account for one model."""

    model_id: str
    email: str
    jobs: int
    oldest_at: datetime


@dataclass(frozen=True)
class Running:
    """A job in progress. step, steps: None before the first."""

    id: str
    model_id: str
    email: str
    attempt: int
    worker_id: str
    started_at: datetime
    step: int | None
    steps: int | None


@dataclass(frozen=True)
class Failure:
    """A job that has failed."""

    id: str
    model_id: str
    email: str
    error: JobError
    finished_at: datetime


class Operations:
    """The queries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self) -> list[Waiting]:
        """The queue by model and account, the longest waiting first."""
        return [Waiting(**row) for row in await self._rows(_WAITING)]

    async def running(self) -> list[Running]:
        """The jobs in progress, the oldest first."""
        return [Running(**row) for row in await self._rows(_RUNNING)]

    async def failures(self, limit: int) -> list[Failure]:
        """The last jobs that failed, the newest first."""
        rows = await self._rows(_FAILURES.limit(limit))
        return [Failure(**{**row, "error": JobError(**row["error"])}) for row in rows]

    async def _rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        found = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [dict(row) for row in found]


_oldest_at = sa.func.min(jobs.c.created_at, type_=jobs.c.created_at.type)
_WAITING = (
    sa.select(jobs.c.model_id, accounts.c.email, sa.func.count().label("jobs"), _oldest_at.label("oldest_at"))
    .join_from(jobs, accounts)
    .where(IN_QUEUE)
    .group_by(jobs.c.model_id, accounts.c.email)
    .order_by(sa.text("oldest_at"))
)
_RUNNING = (
    sa.select(
        *(jobs.c.id, jobs.c.model_id, accounts.c.email, jobs.c.attempt, jobs.c.worker_id, jobs.c.started_at),
        jobs.c.progress_step.label("step"),
        jobs.c.progress_steps.label("steps"),
    )
    .join_from(jobs, accounts)
    .where(IN_PROGRESS)
    .order_by(jobs.c.seq)
)
_FAILURES = (
    sa.select(jobs.c.id, jobs.c.model_id, accounts.c.email, jobs.c.error, jobs.c.finished_at)
    .join_from(jobs, accounts)
    .where(FAILED)
    .order_by(jobs.c.seq.desc())
)
