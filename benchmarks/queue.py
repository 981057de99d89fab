"""Submit, claim and finish a job, three durable commits: ours against a raw loop of the same three.

    python -m benchmarks.queue [--jobs 200] [--rounds 10]

Raw is hand-written SQL on the bare driver (sqlite3, asyncpg) in the same tables with the same durability,
without validation, objects or fencing between processes. PgQueuer joins in where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from uvloop import run

from benchmarks._harness import Round, interleave, postgres, show, show_machine
from benchmarks.raw import RawPostgres, RawSqlite
from safelight.accounts.accounts import OWNER_ID, Accounts
from safelight.db.database import Database
from safelight.db.postgres import connect
from safelight.jobs import Job, JobStatus, Output, Report, new_id
from safelight.queue.store import Store, StoredFile

MODEL = "safelight/benchmark"
INPUT = {"prompt": "a red circle left of a blue square on white " * 4, "seed": 7, "num_inference_steps": 8}
REPORT = Report(seed=7, weights="nano", timings={"generate": 1.0})
TASKS = 8

RunJob = Callable[[], Awaitable[None]]


class NoWaker:
    """Nobody waits here: waking is measured by `pickup`."""

    async def notify(self) -> None:
        """Do nothing."""

    async def wait(self, timeout_s: float) -> None:
        """Return."""

    async def close(self) -> None:
        """Do nothing."""


# --- Ours ---


def new_job(model_id: str) -> Job:
    """Return a job with an input of a usual size."""
    return Job(new_id(), OWNER_ID, model_id, INPUT, JobStatus.IN_QUEUE, 0, datetime.now(UTC))


async def _our_job(store: Store) -> None:
    await store.add(new_job(MODEL))
    while (job := await store.claim("worker", [MODEL])) is None:
        pass  # With several claimants the only job in sight may just have been taken.
    file = StoredFile(new_id(), OWNER_ID, "image/png", 1_000_000, datetime.now(UTC), job.id)
    shown = Output(file.id, file.content_type, 1024, 1024, file.size_bytes)
    assert await store.complete(job, [file], [shown], REPORT)


async def _raw_job(raw: RawSqlite | RawPostgres) -> None:
    await raw.add(MODEL, INPUT)
    while (row := await raw.claim(MODEL)) is None:
        pass
    await raw.finish(row[0])


# --- A peer ---


class Pgqueuer:
    """The PgQueuer library on one connection of its own."""

    def __init__(self, connection: Any, queries: Any) -> None:
        self._connection = connection
        self._queries = queries
        self._manager = uuid4()

    @classmethod
    async def open(cls, url: str) -> Pgqueuer | None:
        """Connect and make its tables; None: it is not installed."""
        try:
            from pgqueuer.db import AsyncpgDriver  # type: ignore[import-not-found]
            from pgqueuer.queries import Queries  # type: ignore[import-not-found]
        except ImportError:
            print("pgqueuer is not installed: pip install pgqueuer to compare with it")
            return None
        connection = await connect(url)
        peer = cls(connection, Queries(AsyncpgDriver(connection)))
        await peer._queries.install()
        return peer

    async def run_job(self) -> None:
        """Three commits."""
        from pgqueuer.ports.repository import (  # type: ignore[import-not-found]
            EntrypointExecutionParameter,
        )

        await self._queries.enqueue(MODEL, json.dumps(INPUT).encode())
        entrypoints = {MODEL: EntrypointExecutionParameter(concurrency_limit=0)}
        [job] = await self._queries.dequeue(1, entrypoints, self._manager, None, timedelta(seconds=30))
        assert json.loads(job.payload)["seed"] == 7
        await self._queries.log_jobs([(job, "successful", None)])

    async def close(self) -> None:
        """Close."""
        await self._connection.close()


# --- The run ---


def _one_by_one(run_job: RunJob, jobs: int) -> Round:
    """Samples are the seconds of each job, from before its submission to after its end."""

    async def run() -> list[float]:
        seconds = []
        for _ in range(jobs):
            start = time.perf_counter()
            await run_job()
            seconds.append(time.perf_counter() - start)
        return seconds

    return run


def _together(run_jobs: Sequence[RunJob], jobs: int) -> Round:
    """As many tasks as `run_jobs`. One sample: the seconds of the round over the number of its jobs."""

    async def run() -> list[float]:
        share = jobs // len(run_jobs)
        start = time.perf_counter()
        await asyncio.gather(*(_repeat(run_job, share) for run_job in run_jobs))
        return [(time.perf_counter() - start) / (share * len(run_jobs))]

    return run


async def _repeat(run_job: RunJob, times: int) -> None:
    for _ in range(times):
        await run_job()


async def _sqlite(rounds: int, jobs: int) -> None:
    with TemporaryDirectory() as folder:
        for name in ("ours", "raw"):
            await prepare(f"sqlite:///{folder}/{name}.db")
        database = await Database.open(f"sqlite:///{folder}/ours.db")
        raw = RawSqlite(Path(folder, "raw.db"))
        # One writer is all that SQLite has: more raw loops would only wait for each other.
        await _compare("SQLite", rounds, jobs, Store(database, NoWaker()), [raw], {})
        await raw.close()
        await database.close()


async def _postgres(rounds: int, jobs: int) -> None:
    with postgres() as server:
        urls = {name: server.replace("/postgres?", f"/{name}?") for name in ("ours", "raw", "peer")}
        connection = await connect(server)
        for name in urls:
            await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        for name in ("ours", "raw"):
            await prepare(urls[name])
        database = await Database.open(urls["ours"])
        raw = [await RawPostgres.open(urls["raw"]) for _ in range(TASKS)]
        peer = await Pgqueuer.open(urls["peer"])
        peers: dict[str, RunJob] = {"pgqueuer": peer.run_job} if peer else {}
        await _compare("Postgres", rounds, jobs, Store(database, NoWaker()), raw, peers)
        for one in raw:
            await one.close()
        if peer:
            await peer.close()
        await database.close()


async def _compare(
    name: str,
    rounds: int,
    jobs: int,
    store: Store,
    raw: Sequence[RawSqlite | RawPostgres],
    peers: dict[str, RunJob],
) -> None:
    ours = partial(_our_job, store)
    raws = [partial(_raw_job, one) for one in raw]
    alone: dict[str, RunJob] = {"ours": ours, "raw": raws[0], **peers}
    samples = await interleave(rounds, {who: _one_by_one(run_job, jobs) for who, run_job in alone.items()})
    show(f"{name}, one by one", samples, "raw")
    crowd: dict[str, Sequence[RunJob]] = {"ours": [ours] * TASKS, "raw": raws}
    samples = await interleave(rounds, {who: _together(run_jobs, jobs) for who, run_jobs in crowd.items()})
    show(f"{name}, {TASKS} at once (raw: {len(raws)})", samples, "raw")


async def prepare(url: str) -> None:
    """Make the tables and the account."""
    database = await Database.open(url)
    await Accounts(database).ensure_owner("benchmark" * 4)
    await database.close()


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
