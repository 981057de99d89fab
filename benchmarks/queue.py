"""Submit, claim and finish a job, three durable commits: ours against a raw loop of the same three.

    python -m benchmarks.queue [--jobs 200] [--rounds 10]

Raw is hand-written SQL on the bare driver (sqlite3, asyncpg) in the same tables with the same durability,
without validation, objects or fencing between processes. `pgqueuer` joins in where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from uvloop import run

from benchmarks._harness import Round, interleave, postgres, show, show_machine
from safelight.accounts import OWNER_ID, Accounts
from safelight.database import Database
from safelight.jobs import Job, JobStatus, Output, Report, new_id
from safelight.postgres import connect
from safelight.sqlite import sqlite
from safelight.store import Store, StoredFile

MODEL = "safelight/benchmark"
INPUT = {"prompt": "a red circle left of a blue square on white " * 4, "seed": 7, "num_inference_steps": 8}
REPORT = Report(seed=7, weights="nano", timings={"generate": 1.0})
TASKS = 8


class NoWaker:
    """Nobody waits here: waking is measured by `pickup`."""

    async def notify(self) -> None:
        """Do nothing."""

    async def wait(self, timeout_s: float) -> None:
        """Return."""

    async def close(self) -> None:
        """Do nothing."""


# --- Ours ---


def _new_job() -> Job:
    return Job(new_id(), OWNER_ID, MODEL, INPUT, JobStatus.IN_QUEUE, 0, datetime.now(UTC))


async def _our_job(store: Store) -> None:
    await store.add(_new_job())
    while (job := await store.claim("worker", [MODEL])) is None:
        pass  # With several claimants the only job in sight may just have been taken.
    file = StoredFile(new_id(), OWNER_ID, "image/png", 1_000_000, datetime.now(UTC), job.id)
    shown = Output(file.id, file.content_type, 1024, 1024, file.size_bytes)
    assert await store.complete(job, [file], [shown], REPORT)


# --- Raw ---

ADD = """INSERT INTO jobs (id, account_id, model_id, input, status, attempt, cost, cancel_requested,
heartbeats, created_at) VALUES (?, ?, ?, ?, 'in_queue', 0, 0, FALSE, 0, ?)"""
CLAIM = """UPDATE jobs SET status = 'in_progress', attempt = attempt + 1, worker_id = ?,
heartbeats = heartbeats + 1, heartbeat_at = ?, started_at = ?
WHERE seq = (SELECT seq FROM jobs WHERE status = 'in_queue' AND model_id = ?
ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, input"""
FINISH = "UPDATE jobs SET status = 'completed', outputs = ?, report = ?, finished_at = ? WHERE id = ?"
ADD_FILE = """INSERT INTO files (id, account_id, job_id, content_type, size_bytes, created_at)
VALUES (?, ?, ?, 'image/png', 1000000, ?)"""


class RawSqlite:
    """The bare sqlite3 module."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite.connect(path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")

    async def run_job(self) -> None:
        """Three commits."""
        execute = self._connection.execute
        execute(ADD, (new_id(), OWNER_ID, MODEL, json.dumps(INPUT), _text_now()))
        now = _text_now()
        claim = CLAIM.replace("FOR UPDATE SKIP LOCKED", "")
        [(job_id, read)] = execute(claim, ("worker", now, now, MODEL)).fetchall()
        assert json.loads(read)["seed"] == 7
        file_id = new_id()
        execute("BEGIN IMMEDIATE")
        execute(FINISH, (json.dumps([{"file_id": file_id}]), json.dumps(vars(REPORT)), _text_now(), job_id))
        execute(ADD_FILE, (file_id, OWNER_ID, job_id, _text_now()))
        execute("COMMIT")

    async def close(self) -> None:
        """Close."""
        self._connection.close()


class RawPostgres:
    """Bare asyncpg."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> RawPostgres:
        """Connect."""
        self._connection = await connect(self._url)
        return self

    async def run_job(self) -> None:
        """Three commits."""
        connection = self._connection
        now = datetime.now(UTC)
        await connection.execute(_numbered(ADD), new_id(), OWNER_ID, MODEL, json.dumps(INPUT), now)
        while (row := await connection.fetchrow(_numbered(CLAIM), "worker", now, now, MODEL)) is None:
            pass
        assert json.loads(row["input"])["seed"] == 7
        file_id = new_id()
        outputs, report = json.dumps([{"file_id": file_id}]), json.dumps(vars(REPORT))
        async with connection.transaction():
            await connection.execute(_numbered(FINISH), outputs, report, datetime.now(UTC), row["id"])
            await connection.execute(_numbered(ADD_FILE), file_id, OWNER_ID, row["id"], datetime.now(UTC))

    async def close(self) -> None:
        """Close."""
        await self._connection.close()


def _text_now() -> str:
    return datetime.now(UTC).isoformat(" ")[:26]


@cache
def _numbered(statement: str) -> str:
    first, *rest = statement.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))


# --- The run ---


def _one_by_one(run_job: Callable[[], Awaitable[None]], jobs: int) -> Round:
    """Samples are the seconds of each job."""

    async def run() -> list[float]:
        seconds = []
        for _ in range(jobs):
            start = time.perf_counter()
            await run_job()
            seconds.append(time.perf_counter() - start)
        return seconds

    return run


def _together(run_jobs: list[Callable[[], Awaitable[None]]], jobs: int) -> Round:
    """As many tasks as `run_jobs`. One sample: the seconds of the round over the number of its jobs."""

    async def run() -> list[float]:
        share = jobs // len(run_jobs)
        start = time.perf_counter()
        await asyncio.gather(*(_repeat(run_job, share) for run_job in run_jobs))
        return [(time.perf_counter() - start) / (share * len(run_jobs))]

    return run


async def _repeat(run_job: Callable[[], Awaitable[None]], times: int) -> None:
    for _ in range(times):
        await run_job()


async def _measure(
    url: str, raw: list[RawSqlite] | list[RawPostgres], rounds: int, jobs: int, name: str
) -> None:
    """Compare on one open database each; raw has one connection for SQLite's one writer, else one a task."""
    database = await Database.open(url)
    store = Store(database, NoWaker())
    ours = partial(_our_job, store)
    contestants = {
        "ours, one by one": _one_by_one(ours, jobs),
        "raw, one by one": _one_by_one(raw[0].run_job, jobs),
    }
    show(f"{name}: submit, claim, finish", await interleave(rounds, contestants), "raw, one by one")
    contestants = {
        f"ours, {TASKS} tasks": _together([ours] * TASKS, jobs),
        f"raw, {len(raw)} tasks": _together([loop.run_job for loop in raw], jobs),
    }
    show(
        f"{name}: seconds per job under load", await interleave(rounds, contestants), f"raw, {len(raw)} tasks"
    )
    await database.close()


async def _prepare(url: str) -> None:
    database = await Database.open(url)
    await Accounts(database).ensure_owner("benchmark" * 4)
    await database.close()


async def _sqlite(rounds: int, jobs: int) -> None:
    with TemporaryDirectory() as folder:
        ours, raws = Path(folder, "ours.db"), Path(folder, "raw.db")
        for path in (ours, raws):
            await _prepare(f"sqlite:///{path}")
        raw = RawSqlite(raws)
        await _measure(f"sqlite:///{ours}", [raw], rounds, jobs, "SQLite")
        await raw.close()


async def _postgres(rounds: int, jobs: int) -> None:
    with postgres() as server:
        urls = [server.replace("/postgres?", f"/{name}?") for name in ("ours", "raw")]
        connection = await connect(server)
        for name in ("ours", "raw"):
            await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        for url in urls:
            await _prepare(url)
        raw = [await RawPostgres(urls[1]).open() for _ in range(TASKS)]
        await _measure(urls[0], raw, rounds, jobs, "Postgres")
        for loop in raw:
            await loop.close()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200, help="jobs a round")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    show_machine()
    run(_sqlite(arguments.rounds, arguments.jobs))
    run(_postgres(arguments.rounds, arguments.jobs))


if __name__ == "__main__":
    main()
