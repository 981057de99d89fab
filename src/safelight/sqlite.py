"""SQLite: one writer thread with group commit, one reader on the event loop.

Whatever waits while a commit is on its way to the disk shares the next transaction, each write in its own
savepoint. Reads take some tens of microseconds, less than a hop to a thread, and run where they are called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from safelight.database import RETRY_AFTER_S, Database, T
from safelight.errors import StorageFull, Unavailable

try:
    import pysqlite3 as sqlite
except ImportError:
    import sqlite3 as sqlite

SAFE_WAL = (3, 51, 3)
"""Older ones can corrupt a WAL database with several writers (sqlite.org/wal.html, the WAL-reset bug)."""

WRITE_TIMEOUT_S = 10
READ_TIMEOUT_S = 1
MAX_BATCH = 128
MAX_WAITING = 10_000
"""Writes that may wait for the writer; past it the database counts as away."""


@dataclass(frozen=True)
class _Write:
    function: Callable[[sa.Connection], Any]
    result: asyncio.Future[Any]


class SqliteDatabase(Database):
    """A database file on this machine's own disk."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = _engine(path)
        self._reader = _connect(self._engine, READ_TIMEOUT_S)
        self._writer = _connect(self._engine, WRITE_TIMEOUT_S)
        self._driver: Any = self._writer.connection.dbapi_connection
        self._waiting: SimpleQueue[_Write | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._write_batches, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def read(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.read."""
        try:
            return function(self._reader)
        except Exception as error:
            raise _as_trouble(error) from error.__cause__

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.write."""
        if self._closed or self._waiting.qsize() >= MAX_WAITING:
            raise Unavailable(retry_after_s=RETRY_AFTER_S)
        result: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(_Write(function, result))
        return await result

    async def close(self) -> None:
        """See Database.close."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)
        for connection in (self._writer, self._reader):
            connection.close()
        self._engine.dispose()

    # --- on the writer thread -------------------------------------------------------------------------

    def _write_batches(self) -> None:
        while write := self._waiting.get():
            batch = [write, *self._also_waiting()]
            outcomes = self._commit(batch)
            with suppress(RuntimeError):  # The loop is gone, and so is everybody who waited.
                self._loop.call_soon_threadsafe(_settle, batch, outcomes)

    def _also_waiting(self) -> list[_Write]:
        more: list[_Write] = []
        with suppress(Empty):
            while len(more) < MAX_BATCH - 1:
                write = self._waiting.get_nowait()
                if write is None:
                    self._waiting.put(None)
                    break
                more.append(write)
        return more

    def _commit(self, batch: list[_Write]) -> list[Any]:
        """Run a batch in one transaction. Returns a result or an exception for each write."""
        # Straight to the driver, which is in autocommit mode: SQLAlchemy's own bookkeeping of transactions
        # would cost as much as the statements.
        try:
            self._driver.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(write) for write in batch]
            self._driver.execute("COMMIT")
        except Exception as error:
            if self._driver.in_transaction:
                self._driver.execute("ROLLBACK")
            return [_as_trouble(error) for _ in batch]
        return outcomes

    def _attempt(self, write: _Write) -> Any:
        self._driver.execute("SAVEPOINT one_write")
        try:
            outcome = write.function(self._writer)
        except Exception as error:
            if not self._driver.in_transaction:  # Such as on a full disk: SQLite rolled all of it back.
                raise
            self._driver.execute("ROLLBACK TO one_write")
            outcome = _as_trouble(error)
        self._driver.execute("RELEASE one_write")
        return outcome


def _settle(batch: list[_Write], outcomes: list[Any]) -> None:
    for write, outcome in zip(batch, outcomes, strict=True):
        if write.result.done():  # The caller was cancelled; the write stands.
            continue
        if isinstance(outcome, Exception):
            write.result.set_exception(outcome)
        else:
            write.result.set_result(outcome)


def _engine(path: Path) -> sa.Engine:
    return sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        module=sqlite,
        poolclass=sa.NullPool,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )


def _connect(engine: sa.Engine, timeout_s: int) -> sa.Connection:
    """Open a connection whose commits reach the disk."""
    try:
        connection = engine.connect()
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {timeout_s * 1000}")
        # Without WAL keep the journal file: unlinking it would be durable only with synchronous = EXTRA.
        journal = "WAL" if sqlite.sqlite_version_info >= SAFE_WAL else "PERSIST"
        connection.exec_driver_sql(f"PRAGMA journal_mode = {journal}")
        connection.exec_driver_sql("PRAGMA synchronous = FULL")
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    except OperationalError as error:
        raise _as_trouble(error) from error.__cause__
    return connection


def _as_trouble(error: Exception) -> Exception:
    """Translate what is the database's state and nobody's mistake."""
    cause = error.orig if isinstance(error, OperationalError) else error
    if not isinstance(cause, sqlite.OperationalError):
        return error
    if "full" in str(cause):
        return StorageFull()
    if "locked" in str(cause) or "disk I/O" in str(cause) or "unable to open" in str(cause):
        return Unavailable(retry_after_s=RETRY_AFTER_S)
    return error
