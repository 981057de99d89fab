"""Postgres: a pool of asyncpg connections that heals itself, and NOTIFY to wake workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from safelight.db.database import RETRY_AFTER_S, Database, T
from safelight.db.statements import Call, Statement, Values
from safelight.db.wake import wait_for
from safelight.errors import SettingsError, StorageFull, Unavailable

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 10
NOTIFY_TIMEOUT_S = 1
POOL_SIZE = 8

DIALECT = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]
CHANNEL = "safelight_jobs"

DISK_FULL = "53100"
AWAY = ("08", "25P03", "40", "53", "57", "58")
"""SQLSTATE classes: connection, idle timeout, conflict, resources, intervention (shutdown), system."""
LOST = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)


class PostgresDatabase(Database):
    """A Postgres database, shared by any number of machines."""

    def __init__(self, url: str) -> None:
        self._pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=POOL_SIZE,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            connection_class=_Connection,
        )
        # For `read` and `write`, which are rare: SQLAlchemy's way costs several times the driver's.
        self._engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda **_: connect(url), poolclass=sa.NullPool
        )
        self._writes: set[asyncio.Task[Any]] = set()

    @classmethod
    async def connect(cls, url: str) -> PostgresDatabase:
        """Return a database that has answered. Raises Unavailable, and SettingsError when it refuses us."""
        try:
            first = await _translated(connect(url))
        except asyncpg.PostgresError as error:  # A wrong password or name: waiting will not help.
            raise SettingsError(f"SAFELIGHT_DATABASE_URL: {error}") from None
        await first.close()
        database = cls(url)
        await database._pool  # With no connection to open yet.
        return database

    async def rows(self, statement: Statement, values: Values) -> list[Any]:
        """See Database.rows."""
        return await _translated(self._rows(statement, values))

    async def change(self, guard: Call, *then: Call) -> Any | None:
        """See Database.change."""
        return await self._to_the_end(self._change(guard, then))

    async def read(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.read."""
        return await _translated(self._read(function))

    async def study(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.study."""
        return await self.read(function)

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.write."""
        return await self._to_the_end(self._write(function))

    async def close(self) -> None:
        """See Database.close."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._pool.close()
        await self._engine.dispose()

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(_translated(work))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _rows(self, statement: Statement, values: Values) -> list[Any]:
        async with self._pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
            return await _run(connection, statement, values)

    async def _change(self, guard: Call, then: tuple[Call, ...]) -> Any | None:
        async with self._pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
            if not then:  # One statement is a transaction, in one round trip.
                found = await _step(connection, guard)
                return found[0] if found else None
            async with connection.transaction():
                found = await _step(connection, guard)
                for call in then if found else ():
                    await _step(connection, call)
                return found[0] if found else None

    async def _read(self, function: Callable[[sa.Connection], T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(function)

    async def _write(self, function: Callable[[sa.Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(function)


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    def get_reset_query(self) -> str:
        """Return nothing to run before the connection goes back to the pool: statements leave no trace."""
        return ""


async def _step(connection: asyncpg.Connection, call: Call) -> list[Any]:
    found = await _run(connection, call.statement, call.values)
    call.judge(found)
    return found


async def _run(connection: asyncpg.Connection, statement: Statement, values: Values) -> list[Any]:
    compiled = statement.on(DIALECT)
    return compiled.rows(await connection.fetch(compiled.sql, *compiled.arguments(values)))


class PostgresWaker:
    """LISTEN and NOTIFY on a connection of its own, opened again whenever it was lost.

    NOTIFY goes out after the commit, not in it: inside, Postgres would do all commits one by one.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._to_send = False
        self._woken = asyncio.Event()

    async def notify(self) -> None:
        """See Waker.notify."""
        self._to_send = True
        async with self._one_at_a_time:
            if not self._to_send:  # Went out with somebody else's while we waited.
                return
            self._to_send = False
            try:
                connection = await self._connected()
                await connection.execute(f"NOTIFY {CHANNEL}", timeout=NOTIFY_TIMEOUT_S)
            except LOST:
                if self._connection:
                    self._connection.terminate()

    async def wait(self, timeout_s: float) -> None:
        """See Waker.wait."""
        with suppress(*LOST):
            async with self._one_at_a_time:
                known = self._connection
                if await self._connected() is not known:
                    return
        await wait_for(self._woken, timeout_s)

    async def close(self) -> None:
        """See Waker.close."""
        if self._connection:
            self._connection.remove_termination_listener(self._wake)
            await self._connection.close(timeout=CONNECT_TIMEOUT_S)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            connection = await connect(self._url)
            connection.add_termination_listener(self._wake)
            await connection.add_listener(CHANNEL, self._wake)
            self._connection = connection
        return self._connection

    def _wake(self, *_: object) -> None:
        self._woken.set()


async def connect(url: str) -> asyncpg.Connection:
    """Open one connection; `url` is what libpq understands."""
    return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, command_timeout=STATEMENT_TIMEOUT_S)


async def _translated(work: Coroutine[Any, Any, T]) -> T:
    """Raise Unavailable or StorageFull for what is the database's state and nobody's mistake."""
    try:
        return await work
    except (OSError, TimeoutError, sa.exc.TimeoutError, asyncpg.InterfaceError) as error:
        raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
    except (DBAPIError, asyncpg.PostgresError) as error:
        state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
        if state == DISK_FULL:
            raise StorageFull from error
        if state.startswith(AWAY) or (isinstance(error, DBAPIError) and error.connection_invalidated):
            raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
        raise
