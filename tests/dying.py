"""A process that dies in the middle of a transaction: `python -m tests.dying URL ACCOUNT`.

Each line that it reads says what a child of it does and how many statements of that it survives, such as
`submit 1`; one that survives them all dies after the commit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from safelight.callers import Account
from safelight.db import postgres
from safelight.db.database import Database
from safelight.db.sqlite import SqliteDatabase
from safelight.db.statements import Call
from safelight.jobs import Report
from safelight.queue.store import Store
from tests.jobs import MODEL, NoWaker
from tests.money import submit

REPORT = Report(seed=1, weights="nano", timings={})


async def die_doing(work: str, survived: int, url: str, account_id: str) -> None:
    store = Store(await Database.open(url), NoWaker())
    if work == "submit":
        count_statements(survived)
        await submit(store, Account(account_id, "", unmetered=False))
    else:
        job = await store.claim("worker", [MODEL])
        assert job
        count_statements(survived)
        await store.complete(job, [], [], REPORT)
    die()


def count_statements(survived: int) -> None:
    """Die when so many statements of a transaction have been answered."""
    left = survived

    def count() -> None:
        nonlocal left
        left -= 1
        if not left:
            die()

    SqliteDatabase._step = counted(SqliteDatabase._step, count)  # type: ignore[method-assign]
    answered = postgres._step

    async def step(connection: Any, call: Call) -> list[Any]:
        found = await answered(connection, call)
        count()
        return found

    postgres._step = step


def counted(answered: Callable[..., list[Any]], count: Callable[[], None]) -> Callable[..., list[Any]]:
    def step(database: SqliteDatabase, call: Call) -> list[Any]:
        found = answered(database, call)
        count()
        return found

    return step


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    for line in sys.stdin:
        work, survived = line.split()
        child = os.fork()
        if not child:
            asyncio.run(die_doing(work, int(survived), *sys.argv[1:]))
        print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
