"""One database, SQLite or Postgres, behind `read` and `write`.

Both take a plain function over a SQLAlchemy connection, so every query is written once. A function runs its
statements to the end, keeps no result open, and leaves commit and rollback to `write`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from safelight import migrations
from safelight.errors import SettingsError

T = TypeVar("T")
RETRY_AFTER_S = 2
"""What `Unavailable` advises when the database is away."""


class Database(ABC):
    """An open database. It belongs to the event loop that opened it."""

    @staticmethod
    async def open(url: str) -> Database:
        """Connect to `sqlite:///path` or `postgresql://…` and bring the schema up to date.

        Raises Unavailable when it cannot be reached.
        """
        database = _connect(url)
        try:
            await database.write(migrations.upgrade)
        except BaseException:
            await database.close()
            raise
        return database

    @abstractmethod
    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run one query. Raises Unavailable; may be run again after a lost connection."""

    @abstractmethod
    async def write(self, function: Callable[[Connection], T]) -> T:
        """Run `function` in one transaction; when this returns, the change survives a power loss.

        The write goes on when the caller is cancelled. Raises what `function` raises, with nothing changed,
        Unavailable or StorageFull. After Unavailable the change may have happened, as after any lost answer.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish the writes under way and close all connections."""


def _connect(url: str) -> Database:
    # Imported late: whoever runs on SQLite never pays for asyncpg.
    if url.startswith("sqlite:///"):
        from safelight.sqlite import SqliteDatabase

        return SqliteDatabase(Path(url.removeprefix("sqlite:///")))
    if url.startswith(("postgresql://", "postgres://")):
        from safelight.postgres import PostgresDatabase

        return PostgresDatabase(url)
    raise SettingsError("the database URL must start with postgresql:// or sqlite:///")
