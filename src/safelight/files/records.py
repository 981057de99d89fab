"""What is known of stored files beyond the jobs they belong to: an account's own, and what is past its time.

Nothing but the sweep lets a file expire, so what a clock shows when a file is asked for does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam

from safelight.db.clock import STEADY, SteadyClock
from safelight.db.database import Database
from safelight.db.statements import Call, Statement
from safelight.db.tables import KEPT_FILES, UNFINISHED, UtcDateTime, files, jobs
from safelight.inputs import FILE_SCHEME, HOLES_SCHEME
from safelight.queue.store import StoredFile

BATCH = 200
"""How many files are looked at in one statement."""

_IN_AN_INPUT = re.compile(rf'"(?:{FILE_SCHEME}|{HOLES_SCHEME})([A-Za-z0-9_-]{{22}})"')


class FileRecords:
    """The records of files. Every method raises Unavailable when the database is away."""

    def __init__(self, database: Database, clock: SteadyClock = STEADY) -> None:
        self._database = database
        self._clock = clock

    # --- An account's own ---

    async def upload(self, file: StoredFile, quota_bytes: int | None) -> bool:
        """Record an upload. False: the account's uploads would take up more than its quota.

        On Postgres, uploads at the same moment may pass it together, by what is under way.
        """
        quota = quota_bytes if quota_bytes is not None else 2**62
        return await self._database.change(Call(_UPLOAD, {**vars(file), "quota": quota})) is not None

    async def uploads(self, account_id: str, limit: int, before: str | None = None) -> list[StoredFile]:
        """Return an account's uploads, the newest first; `before`: those that came before that upload."""
        values = {"account": account_id, "limit": limit, "before": before}
        rows = await self._database.rows(_UPLOADS_BEFORE if before else _UPLOADS, values)
        return [StoredFile(**row._asdict()) for row in rows]

    async def remove(self, file_id: str, account_id: str) -> bool:
        """Give up a file; its bytes are the caller's to delete. False: the account has none of that id."""
        values = {"file": file_id, "account": account_id, "now": self._clock.now()}
        return await self._database.change(Call(_REMOVE_OWN, values)) is not None

    # --- For the sweep ---

    async def expire(self) -> list[str]:
        """Give up some files that are past their time; their bytes are the caller's to delete.

        What an unfinished job needs stays.
        """
        now, skip, given_up = self._clock.now(), 0, set[str]()
        while not given_up:
            overdue = await self._database.rows(_OVERDUE, {"now": now, "skip": skip})
            if not overdue:
                break
            given_up = {row.id for row in overdue} - await self._needed()
            skip += BATCH
        for file_id in given_up:
            await self._database.change(Call(_REMOVE, {"file": file_id, "now": now}))
        return sorted(given_up)

    async def kept(self, file_ids: Sequence[str]) -> set[str]:
        """Return which of at most BATCH files are recorded and not given up."""
        padded = [*file_ids, *[""] * (BATCH - len(file_ids))]
        values = {f"file_{number}": file_id for number, file_id in enumerate(padded)}
        return {row.id for row in await self._database.rows(_KEPT_OF, values)}

    async def _needed(self) -> set[str]:
        rows = await self._database.rows(_NEEDED, {})
        return {file_id for row in rows for file_id in _IN_AN_INPUT.findall(row.input)}


_uploads = sa.and_(files.c.account_id == bindparam("account"), files.c.job_id.is_(None), KEPT_FILES)
_taken = sa.select(sa.func.coalesce(sa.func.sum(files.c.size_bytes), 0)).where(
    files.c.account_id == bindparam("account_id", type_=sa.Text), files.c.job_id.is_(None), KEPT_FILES
)
_given = [bindparam(column.name, type_=column.type) for column in files.columns]
_size, _quota = (bindparam(name, type_=sa.BigInteger) for name in ("size_bytes", "quota"))
_UPLOAD = Statement(
    sa.insert(files)
    .from_select(files.columns.keys(), sa.select(*_given).where(_taken.scalar_subquery() + _size <= _quota))
    .returning(files.c.id)
)

_newest_first = (
    sa.select(files)
    .where(_uploads)
    .order_by(files.c.created_at.desc(), files.c.id.desc())
    .limit(bindparam("limit", type_=sa.Integer))
)
_mark = files.alias("mark")
_place = sa.select(_mark.c.created_at, _mark.c.id).where(
    _mark.c.id == bindparam("before"), _mark.c.account_id == bindparam("account")
)
_UPLOADS = Statement(_newest_first)
_UPLOADS_BEFORE = Statement(
    _newest_first.where(sa.tuple_(files.c.created_at, files.c.id) < _place.scalar_subquery())
)

_now = bindparam("now", type_=UtcDateTime)
_remove = (
    sa.update(files)
    .where(files.c.id == bindparam("file"), KEPT_FILES)
    .values(removed_at=_now)
    .returning(files.c.id)
)
_REMOVE = Statement(_remove)
_REMOVE_OWN = Statement(_remove.where(files.c.account_id == bindparam("account")))
_OVERDUE = Statement(
    sa.select(files.c.id)
    .where(files.c.expires_at <= _now, KEPT_FILES)
    .order_by(files.c.expires_at)
    .limit(sa.literal_column(str(BATCH)))
    .offset(bindparam("skip", type_=sa.Integer))
)
_KEPT_OF = Statement(
    sa.select(files.c.id).where(
        files.c.id.in_([bindparam(f"file_{number}", type_=sa.Text) for number in range(BATCH)]), KEPT_FILES
    )
)
_input = sa.cast(jobs.c.input, sa.Text)
_NEEDED = Statement(
    sa.select(_input.label("input")).where(
        UNFINISHED, sa.or_(*(_input.like(f'%"{scheme}%') for scheme in (FILE_SCHEME, HOLES_SCHEME)))
    )
)
