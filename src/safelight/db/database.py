"""One database, SQLite or Postgres. Every query is written once, as SQLAlchemy expressions.

`rows` and `change` run prepared statements at the driver's own speed: the queue's way. `read`, `study` and
`write` take any function over a SQLAlchemy connection; it keeps no result open and leaves commit and rollback
alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from safelight.db import migrations
from safelight.db.statements import Call, Statement, Values
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
        database = await _connect(url)
        try:
            await database.write(migrations.upgrade)
        except BaseException:
            await database.close()
            raise
        return database

    @abstractmethod
    async def rows(self, statement: Statement, values: Values) -> list[Any]:
        """Run a query. Returns named tuples. Raises Unavailable."""

    @abstractmethod
    async def change(self, guard: Call, *then: Call) -> Any | None:
        """Run statements in one transaction. When the first returns no row, the others are left out.

        Returns the first one's row. A call that finds no row undoes everything with its refusal. When this
        returns, the change survives a power loss. It goes on when the caller is cancelled. Raises Unavailable
        or StorageFull, or what the database refused. After Unavailable the change may have happened, as after
        any lost answer.
        """

    @abstractmethod
    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run queries. Raises as `rows` does."""

    @abstractmethod
    async def study(self, function: Callable[[Connection], T]) -> T:
        """Run queries that may take long, where they hold up nobody; each sees one moment.

        Raises as `rows` does.
        """

    @abstractmethod
    async def write(self, function: Callable[[Connection], T]) -> T:
        """Run `function` in one transaction, as `change` does; what it raises undoes it."""

    @abstractmethod
    async def close(self) -> None:
        """Finish the writes under way and close all connections."""


async def _connect(url: str) -> Database:
    # Imported late: whoever runs on SQLite never pays for asyncpg.
    if url.startswith("sqlite:///"):
        from safelight.db.sqlite import SqliteDatabase

        return SqliteDatabase(Path(url.removeprefix("sqlite:///")))
    if url.startswith(("postgresql://", "postgres://")):
        from safelight.db.postgres import PostgresDatabase

        return await PostgresDatabase.connect(url)
    raise SettingsError("the database URL must start with postgresql:// or sqlite:///")
