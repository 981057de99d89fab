"""Postgres: a pool of asyncpg connections that heals itself, and NOTIFY to wake workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine

from safelight.database import RETRY_AFTER_S, Database, T
from safelight.errors import StorageFull, Unavailable
from safelight.wake import wait_for

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 10
POOL_SIZE = 8

CHANNEL = "safelight_jobs"

DISK_FULL = "53100"
AWAY = ("08", "25P03", "40", "53", "57", "58")
"""SQLSTATE classes: connection, idle timeout, conflict, resources, intervention (shutdown), system."""
LOST = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)


class PostgresDatabase(Database):
    """A Postgres database, shared by any number of machines."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda **_: connect(url),
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_S,
        )
        sa.event.listen(self._engine.sync_engine, "checkout", _refuse_closed)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writes: set[asyncio.Task[Any]] = set()

    async def read(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.read. Each statement sees what is committed when it starts."""
        return await _translated(self._read(function))

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.write."""
        task = asyncio.create_task(_translated(self._write(function)))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """See Database.close."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._engine.dispose()

    async def _read(self, function: Callable[[sa.Connection], T]) -> T:
        async with self._autocommit.connect() as connection:
            return await connection.run_sync(function)

    async def _write(self, function: Callable[[sa.Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(function)


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
            with suppress(*LOST):
                connection = await self._connected()
                await connection.execute(f"NOTIFY {CHANNEL}")

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


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    # asyncpg notices at once when the server hangs up: no round trip to ask whether it is still there.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


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
