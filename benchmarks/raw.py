"""The peer of `queue` and `pickup`: the same three commits in hand-written SQL on the bare driver.

The same tables, the same durability, one process; no objects, no validation, no fencing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from safelight.accounts.accounts import OWNER_ID
from safelight.db.postgres import connect
from safelight.db.sqlite import sqlite
from safelight.jobs import new_id

ADD = """INSERT INTO jobs (id, account_id, model_id, input, status, attempt, cost, cancel_requested,
heartbeats, created_at) VALUES (?, ?, ?, ?, 'in_queue', 0, 0, FALSE, 0, ?)"""
CLAIM = """UPDATE jobs SET status = 'in_progress', attempt = attempt + 1, worker_id = ?,
heartbeats = heartbeats + 1, heartbeat_at = ?, started_at = ?
WHERE seq = (SELECT seq FROM jobs WHERE status = 'in_queue' AND model_id = ?
ORDER BY account_id, seq LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, input"""
FINISH = "UPDATE jobs SET status = 'completed', outputs = ?, report = ?, finished_at = ? WHERE id = ?"
ADD_FILE = """INSERT INTO files (id, account_id, job_id, content_type, size_bytes, created_at)
VALUES (?, ?, ?, 'image/png', 1000000, ?)"""

Row = Sequence[Any]
REPORT = json.dumps({"seed": 7, "weights": "nano", "timings": {"generate": 1.0}, "notes": []})


class RawSqlite:
    """The bare sqlite3 module."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite.connect(path, isolation_level=None)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "busy_timeout = 5000",
        ):
            self._connection.execute(f"PRAGMA {pragma}")

    async def add(self, model_id: str, values: object) -> None:
        """Submit a job."""
        arguments = (new_id(), OWNER_ID, model_id, json.dumps(values), _text_now())
        self._connection.execute(ADD, arguments)

    async def claim(self, model_id: str) -> Row | None:
        """Claim the oldest job: its id and its input."""
        statement = CLAIM.replace("FOR UPDATE SKIP LOCKED", "")
        now = _text_now()
        rows = self._connection.execute(statement, ("worker", now, now, model_id)).fetchall()
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    async def finish(self, job_id: str) -> None:
        """End a job and record its output."""
        file_id = new_id()
        outputs = json.dumps([{"file_id": file_id}])
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(FINISH, (outputs, REPORT, _text_now(), job_id))
        self._connection.execute(ADD_FILE, (file_id, OWNER_ID, job_id, _text_now()))
        self._connection.execute("COMMIT")

    async def close(self) -> None:
        """Close."""
        self._connection.close()


class RawPostgres:
    """Bare asyncpg."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, url: str) -> RawPostgres:
        """Connect."""
        return cls(await connect(url))

    async def add(self, model_id: str, values: object) -> None:
        """Submit a job."""
        now = datetime.now(UTC)
        await self.connection.execute(_numbered(ADD), new_id(), OWNER_ID, model_id, json.dumps(values), now)

    async def claim(self, model_id: str) -> Row | None:
        """Claim the oldest job: its id and its input."""
        now = datetime.now(UTC)
        row = await self.connection.fetchrow(_numbered(CLAIM), "worker", now, now, model_id)
        return (row[0], json.loads(row[1])) if row else None

    async def finish(self, job_id: str) -> None:
        """End a job and record its output."""
        file_id, now = new_id(), datetime.now(UTC)
        outputs = json.dumps([{"file_id": file_id}])
        async with self.connection.transaction():
            await self.connection.execute(_numbered(FINISH), outputs, REPORT, now, job_id)
            await self.connection.execute(_numbered(ADD_FILE), file_id, OWNER_ID, job_id, now)

    async def close(self) -> None:
        """Close."""
        await self.connection.close()


def _text_now() -> str:
    return datetime.now(UTC).isoformat(" ")[:26]


@cache
def _numbered(statement: str) -> str:
    """Write the parameters as Postgres does: $1, $2 …"""
    first, *rest = statement.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))
