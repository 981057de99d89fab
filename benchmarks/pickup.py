"""From a job's submission in one process to its claim in another, idle one: ours against a raw loop.

    python -m benchmarks.pickup [--jobs 30] [--rounds 10]

Raw makes the same wake-up (a datagram, a NOTIFY) and the same two commits on the same database, in
hand-written SQL on the bare driver. The clock is the machine's monotonic one, which the processes share.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from uvloop import run

from benchmarks._harness import Round, interleave, postgres, show, show_machine
from benchmarks.queue import INPUT, new_job, prepare
from benchmarks.raw import RawPostgres, RawSqlite
from safelight.db.database import Database
from safelight.db.wake import open_waker
from safelight.queue.store import Store

OURS, RAW = "benchmark/ours", "benchmark/raw"
CHANNEL = "benchmark_raw"
IDLE_S = 0.01
"""Between two jobs, so that the worker waits when one comes."""

Submit = Callable[[], Awaitable[object]]


# --- The worker's process: it prints the time of each claim, in nanoseconds ---


async def _work_ours(url: str) -> None:
    database, waker = await Database.open(url), open_waker(url)
    store = Store(database, waker)
    while True:
        if await store.claim("worker", [OURS]):
            _claimed()
        else:
            await waker.wait(60)


async def _work_raw(url: str) -> None:
    if url.startswith("sqlite"):
        await _work_raw_sqlite(_sqlite_path(url))
    else:
        await _work_raw_postgres(url)


async def _work_raw_sqlite(path: Path) -> None:
    raw, bell = RawSqlite(path), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.bind(f"{path}.bell")
    while True:
        if await raw.claim(RAW):
            _claimed()
        else:
            bell.recv(1)


async def _work_raw_postgres(url: str) -> None:
    raw, rung = await RawPostgres.open(url), asyncio.Event()
    await raw.connection.add_listener(CHANNEL, lambda *_: rung.set())
    while True:
        rung.clear()
        if await raw.claim(RAW):
            _claimed()
        else:
            await rung.wait()


def _claimed() -> None:
    print(time.monotonic_ns(), flush=True)


# --- The submitting process ---


@asynccontextmanager
async def _worker(kind: str, url: str) -> AsyncIterator[Process]:
    """Start a worker that waits for jobs."""
    command = [sys.executable, "-m", "benchmarks.pickup", "--work", kind, url]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def _pickups(submit: Submit, worker: Process, jobs: int) -> Round:
    """Samples are the seconds from before the submission to after the claim."""

    async def run() -> list[float]:
        seconds = []
        for _ in range(jobs):
            await asyncio.sleep(IDLE_S)
            start = time.monotonic_ns()
            await submit()
            assert worker.stdout
            seconds.append((int(await worker.stdout.readline()) - start) / 1e9)
        return seconds

    return run


async def _compare(url: str, name: str, rounds: int, jobs: int, submit_raw: Submit) -> None:
    database, waker = await Database.open(url), open_waker(url)
    store = Store(database, waker)
    async with _worker("ours", url) as ours, _worker("raw", url) as raw:
        contestants = {
            "ours": _pickups(lambda: store.add(new_job(OURS)), ours, jobs),
            "raw": _pickups(submit_raw, raw, jobs),
        }
        show(f"{name}: submitted to claimed", await interleave(rounds, contestants), "raw")
    await waker.close()
    await database.close()


async def _sqlite(rounds: int, jobs: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.db")
        await prepare(f"sqlite:///{path}")
        raw, bell = RawSqlite(path), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

        async def submit_raw() -> None:
            await raw.add(RAW, INPUT)
            bell.sendto(b"!", f"{path}.bell")

        await _compare(f"sqlite:///{path}", "SQLite", rounds, jobs, submit_raw)
        bell.close()
        await raw.close()


async def _postgres(rounds: int, jobs: int) -> None:
    with postgres() as url:
        await prepare(url)
        raw = await RawPostgres.open(url)

        async def submit_raw() -> None:
            await raw.add(RAW, INPUT)
            await raw.connection.execute(f"NOTIFY {CHANNEL}")

        await _compare(url, "Postgres", rounds, jobs, submit_raw)
        await raw.close()


def _sqlite_path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=30, help="jobs a round")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--work", nargs=2, metavar=("KIND", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        kind, url = arguments.work
        run(_work_ours(url) if kind == "ours" else _work_raw(url))
    show_machine()
    run(_sqlite(arguments.rounds, arguments.jobs))
    run(_postgres(arguments.rounds, arguments.jobs))


if __name__ == "__main__":
    main()
