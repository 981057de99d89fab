"""What accounts have used: requests and what they cost, by day, key and model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from safelight.db.database import Database
from safelight.db.tables import Usd, api_keys, jobs
from safelight.jobs import JobStatus

DAYS = 30
MAX_DAYS = 400


@dataclass(frozen=True)
class UsageLine:
    """What one key used of one model on one day, in UTC. usd: of requests under way, at most.

    key_id None: not with a key, but in a browser.
    """

    day: str
    key_id: str | None
    key_name: str | None
    model_id: str
    requests: int
    completed: int
    usd: Decimal


class Usage:
    """Usage in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(
        self, account_id: str, first: date | None = None, last: date | None = None
    ) -> list[UsageLine]:
        """What an account used, the newest day first. Without days: the last 30; never more than 400."""
        last = last or datetime.now(UTC).date()
        first = max(first or last - timedelta(days=DAYS - 1), last - timedelta(days=MAX_DAYS - 1))
        within = (jobs.c.created_at >= _midnight(first), jobs.c.created_at < _midnight(last + timedelta(1)))
        query = _LINES.where(jobs.c.account_id == account_id, *within)
        rows = await self._database.study(lambda connection: connection.execute(query).all())
        return [UsageLine(**row._mapping) for row in rows]


class utc_day(FunctionElement[str]):
    """A moment's day in UTC, such as `2026-11-21`."""

    type = sa.Text()
    inherit_cache = True


@compiles(utc_day, "sqlite")
def _sqlite_day(element: utc_day, compiler: Any, **options: Any) -> str:
    return f"substr({compiler.process(element.clauses, **options)}, 1, 10)"


@compiles(utc_day, "postgresql")
def _postgres_day(element: utc_day, compiler: Any, **options: Any) -> str:
    return f"to_char({compiler.process(element.clauses, **options)} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


_DAY = utc_day(jobs.c.created_at)
_SPENT = sa.cast(sa.func.sum(jobs.c.cost), sa.BigInteger)
_LINES = (
    sa.select(
        _DAY.label("day"),
        jobs.c.key_id,
        sa.func.max(api_keys.c.name).label("key_name"),
        jobs.c.model_id,
        sa.func.count().label("requests"),
        sa.func.count(sa.case((jobs.c.status == JobStatus.COMPLETED, 1))).label("completed"),
        sa.type_coerce(_SPENT, Usd).label("usd"),
    )
    .outerjoin_from(jobs, api_keys, jobs.c.key_id == api_keys.c.id)
    .group_by(_DAY, jobs.c.key_id, jobs.c.model_id)
    .order_by(_DAY.desc(), jobs.c.model_id, jobs.c.key_id)
)
