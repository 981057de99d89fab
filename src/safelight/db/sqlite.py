"""SQLite: one writer with group commit, one reader on the event loop.

Writes that are asked for together share one transaction, each in its own savepoint, and one commit; so does
whatever comes while a commit is on its way to the disk. That work is a thread's, except for a lone write on a
disk that commits fast: handing it to a thread would take longer than the commit. Reads take some tens of
microseconds and run where they are called; what may take long has a thread and a connection of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from safelight.db.database import RETRY_AFTER_S, Database, T
from safelight.db.statements import Call, Statement, Values
from safelight.errors import SafelightError, StorageFull, Unavailable

try:
    import pysqlite3 as sqlite
except ImportError:
    import sqlite3 as sqlite

__all__ = ["SAFE_WAL", "SqliteDatabase", "is_wal_safe", "sqlite"]

SAFE_WAL = (3, 51, 3)
"""Older ones can corrupt a WAL database with several writers (sqlite.org/wal.html, the WAL-reset bug)."""

WRITE_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 1.0
FAST_COMMIT_S = 0.002
"""A commit as fast as this may be made on the event loop."""
MAX_WAITING = 10_000
"""Writes that may wait for the writer; past it the database counts as away."""


@dataclass(frozen=True)
class _Write:
    work: Callable[[], Any]
    result: asyncio.Future[Any]


class SqliteDatabase(Database):
    """A database file on this machine's own disk."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = _engine(path)
        self._reader = _connect(self._engine, READ_TIMEOUT_S)
        # In WAL mode only BEGIN can meet another writer, and it must not block the event loop.
        self._is_wal = is_wal_safe()
        self._writer = _connect(self._engine, 0 if self._is_wal else WRITE_TIMEOUT_S)
        self._read_driver: Any = self._reader.connection.dbapi_connection
        self._driver: Any = self._writer.connection.dbapi_connection
        self._asked: list[_Write] = []
        self._with_thread = 0
        self._turn_is_used = False
        self._is_crowded = False
        self._commit_s = float("inf")
        self._batches: SimpleQueue[list[_Write]] = SimpleQueue()
        self._closed = False
        self._study = asyncio.Lock()  # One at a time: whoever asks for many waits for his own.
        self._thread = Thread(target=self._write_batches, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def rows(self, statement: Statement, values: Values) -> list[Any]:
        """See Database.rows."""
        return self._translated(partial(_run, self._read_driver, self._engine.dialect, statement, values))

    async def change(self, guard: Call, *then: Call) -> Any | None:
        """See Database.change."""
        return await self._ask(partial(self._steps, guard, then))

    async def read(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.read."""
        return self._translated(partial(function, self._reader))

    async def study(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.study."""
        async with self._study:
            return await asyncio.to_thread(self._translated, partial(self._apart, function))

    async def write(self, function: Callable[[sa.Connection], T]) -> T:
        """See Database.write."""
        return await self._ask(partial(function, self._writer))

    async def close(self) -> None:
        """See Database.close."""
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        self._batches.put([])
        await asyncio.to_thread(self._thread.join)
        for connection in (self._writer, self._reader):
            connection.close()
        self._engine.dispose()

    def _apart(self, function: Callable[[sa.Connection], T]) -> T:
        connection = _connect(self._engine, WRITE_TIMEOUT_S)
        try:
            return function(connection)
        finally:
            connection.close()

    # --- On the event loop ---

    def _translated(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:
            raise _as_trouble(error) from error.__cause__

    async def _ask(self, work: Callable[[], T]) -> T:
        if self._closed or self._with_thread + len(self._asked) >= MAX_WAITING:
            raise Unavailable(retry_after_s=RETRY_AFTER_S)
        write = _Write(work, self._loop.create_future())
        is_first = not self._turn_is_used
        if is_first:
            self._turn_is_used = True
            self._loop.call_soon(self._end_turn)
        if is_first and not self._is_crowded and self._begin_here():
            _settle([write], self._commit([write]))
        else:
            self._asked.append(write)
        return cast(T, await write.result)

    def _end_turn(self) -> None:
        """Once per turn of the event loop in which something was asked for."""
        self._turn_is_used = False
        self._is_crowded = len(self._asked) > 1
        if len(self._asked) == 1 and self._begin_here():
            batch, self._asked = self._asked, []
            _settle(batch, self._commit(batch))
        else:
            self._hand_over()

    def _begin_here(self) -> bool:
        """Begin a transaction on the loop, if the thread is idle and the disk will not hold up the loop."""
        is_fast = self._is_wal and self._commit_s < FAST_COMMIT_S
        return is_fast and not self._with_thread and self._begin()

    def _hand_over(self) -> None:
        if self._asked:
            self._with_thread += len(self._asked)
            self._batches.put(self._asked)
            self._asked = []

    def _take_back(self, batch: list[_Write], outcomes: list[Any]) -> None:
        self._with_thread -= len(batch)
        _settle(batch, outcomes)

    # --- On the writer thread; `_begin`, `_commit` and below also on the loop while the thread is idle ---

    def _write_batches(self) -> None:
        while batch := self._next_batch():
            outcomes = self._commit(batch) if self._begin_patiently() else [_away() for _ in batch]
            with suppress(RuntimeError):  # The loop is gone, and so is everybody who waited.
                self._loop.call_soon_threadsafe(self._take_back, batch, outcomes)

    def _next_batch(self) -> list[_Write]:
        """Return all that waits; empty: the end."""
        batch = self._batches.get()
        while batch and not self._batches.empty():
            more = self._batches.get()
            if not more:
                self._batches.put(more)
                break
            batch += more
        return batch

    def _begin(self) -> bool:
        """Begin a transaction. False: another process is writing."""
        try:
            self._driver.execute("BEGIN IMMEDIATE")
        except sqlite.OperationalError:
            return False
        return True

    def _begin_patiently(self) -> bool:
        give_up = time.monotonic() + WRITE_TIMEOUT_S
        pause_s = 0.0001  # A transaction takes a fraction of a millisecond.
        while not self._begin():
            if time.monotonic() > give_up:
                return False
            time.sleep(random.uniform(0, pause_s))  # noqa: S311 - so that writers do not march in step
            pause_s = min(pause_s * 1.1, 0.005)
        return True

    def _commit(self, batch: list[_Write]) -> list[Any]:
        """Run a batch and commit it. Returns a result or an exception for each write."""
        try:
            outcomes = [self._attempt(write) for write in batch]
            start = time.perf_counter()
            self._driver.execute("COMMIT")
            self._commit_s = time.perf_counter() - start
        except Exception as error:
            if self._driver.in_transaction:
                self._driver.execute("ROLLBACK")
            return [_away(error) for _ in batch]
        return outcomes

    def _attempt(self, write: _Write) -> Any:
        self._driver.execute("SAVEPOINT one_write")
        try:
            outcome = write.work()
        except Exception as error:
            if not self._driver.in_transaction:  # Such as on a full disk: SQLite rolled all of it back.
                raise
            self._driver.execute("ROLLBACK TO one_write")
            outcome = _as_trouble(error)
        self._driver.execute("RELEASE one_write")
        return outcome

    def _steps(self, guard: Call, then: tuple[Call, ...]) -> Any | None:
        found = self._step(guard)
        if not found:
            return None
        for call in then:
            self._step(call)
        return found[0]

    def _step(self, call: Call) -> list[Any]:
        found = _run(self._driver, self._engine.dialect, call.statement, call.values)
        call.judge(found)
        return found


def _settle(batch: list[_Write], outcomes: list[Any]) -> None:
    for write, outcome in zip(batch, outcomes, strict=True):
        if write.result.done():  # The caller was cancelled; the write stands.
            continue
        if isinstance(outcome, Exception):
            write.result.set_exception(outcome)
        else:
            write.result.set_result(outcome)


def _run(driver: Any, dialect: sa.Dialect, statement: Statement, values: Values) -> list[Any]:
    compiled = statement.on(dialect)
    return compiled.rows(driver.execute(compiled.sql, compiled.arguments(values)).fetchall())


def _engine(path: Path) -> sa.Engine:
    return sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        module=sqlite,
        poolclass=sa.NullPool,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )


def _connect(engine: sa.Engine, timeout_s: float) -> sa.Connection:
    """Open a connection whose commits reach the disk."""
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise _as_trouble(error) from error
    # Without WAL keep the journal file: unlinking it would be durable only with synchronous = EXTRA.
    for pragma in (
        f"busy_timeout = {WRITE_TIMEOUT_S * 1000:.0f}",
        f"journal_mode = {'WAL' if is_wal_safe() else 'PERSIST'}",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"busy_timeout = {timeout_s * 1000:.0f}",
    ):
        connection.exec_driver_sql(f"PRAGMA {pragma}")
    return connection


def is_wal_safe() -> bool:
    """Whether the SQLite at hand may use its write-ahead log."""
    return bool(sqlite.sqlite_version_info >= SAFE_WAL)


def _away(cause: Exception | None = None) -> SafelightError:
    """Return what all writes of a batch fail with."""
    trouble = _as_trouble(cause) if cause else None
    if not isinstance(trouble, SafelightError):
        trouble = Unavailable(retry_after_s=RETRY_AFTER_S)
    trouble.__cause__ = cause
    return trouble


def _as_trouble(error: Exception) -> Exception:
    """Translate what is the database's state and nobody's mistake."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlite.OperationalError):
        return error
    if "full" in str(cause):
        return StorageFull()
    if any(sign in str(cause) for sign in ("locked", "disk I/O", "unable to open", "readonly")):
        return Unavailable(retry_after_s=RETRY_AFTER_S)
    return error
