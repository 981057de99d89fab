"""Everything around the model: submit to result with a model that does nothing.

    python -m benchmarks.overhead [--jobs 50] [--rounds 10]

Ours is a real worker with its child process on SQLite: wake-up, claim, generate in the child, encode, store,
finish. Raw is a loop of the same three durable commits on the bare driver, in the same tables.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from uvloop import run

from benchmarks._harness import console, interleave, median, show, show_machine
from benchmarks.raw import RawSqlite
from safelight.accounts.accounts import OWNER_ID, Accounts
from safelight.db.database import Database
from safelight.db.wake import open_waker
from safelight.engine.parent import Child
from safelight.engine.protocol import Setup
from safelight.files.files import LocalFiles
from safelight.jobs import Job, JobStatus, new_id
from safelight.models import load_catalogue
from safelight.network.fetch import Fetcher
from safelight.queue.store import Store
from safelight.worker.lora_cache import LoraCache
from safelight.worker.lora_library import LoraLibrary
from safelight.worker.running import Equipment
from safelight.worker.worker import Worker

MODELS = Path(__file__).parent / "models"
MODEL = "benchmark/nothing"
RAW_MODEL = "benchmark/raw"
VALUES = {"seed": 7}


class Watched(Store):
    """The store, with an event for the end of a job, so that no polling is measured."""

    def __init__(self, database: Database, waker: object) -> None:
        super().__init__(database, waker)  # type: ignore[arg-type]
        self.ended = asyncio.Event()

    async def complete(self, *arguments: object) -> bool:
        """End a job well."""
        done = await super().complete(*arguments)  # type: ignore[arg-type]
        self.ended.set()
        return done


async def _our_job(store: Watched) -> float:
    store.ended.clear()
    started_s = time.perf_counter()
    job = Job(new_id(), OWNER_ID, MODEL, VALUES, JobStatus.IN_QUEUE, 0, datetime.now(UTC))
    await store.add(job)
    await store.ended.wait()
    found = await store.get(job.id, OWNER_ID)
    elapsed_s = time.perf_counter() - started_s
    assert found is not None
    assert found.status is JobStatus.COMPLETED, found.error
    return elapsed_s


async def _raw_job(raw: RawSqlite) -> float:
    started_s = time.perf_counter()
    await raw.add(RAW_MODEL, VALUES)
    claimed = await raw.claim(RAW_MODEL)
    assert claimed is not None
    await raw.finish(claimed[0])
    return time.perf_counter() - started_s


async def _measure(folder: Path, rounds: int, jobs: int) -> None:
    url = f"sqlite:///{folder / 'safelight.db'}"
    database = await Database.open(url)
    await Accounts(database).ensure_owner("k" * 32)
    waker = open_waker(url)
    store, raw = Watched(database, waker), RawSqlite(folder / "safelight.db")
    fetcher = Fetcher()
    equipment = Equipment(
        store=store,
        files=LocalFiles(folder / "files"),
        fetcher=fetcher,
        loras=LoraLibrary(LoraCache(folder / "loras", 10**9), fetcher, hub_url="https://huggingface.co"),
        catalogue=load_catalogue(MODELS),
        child=Child(Setup("cpu", str(MODELS))),
    )
    worker = Worker("benchmark", equipment, waker=waker, scratch=folder)
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop, stop))

    async def ours() -> list[float]:
        return [await _our_job(store) for _ in range(jobs)]

    async def raw_loop() -> list[float]:
        return [await _raw_job(raw) for _ in range(jobs)]

    samples = await interleave(rounds, {"three commits": raw_loop, "ours": ours})
    stop.set()
    await working
    await raw.close()
    await waker.close()
    await database.close()
    show("submit to result, one job at a time", samples, against="three commits")
    excess_ms = (median(samples["ours"]) - median(samples["three commits"])) * 1e3
    ratio = median(samples["ours"]) / median(samples["three commits"])
    console.print(f"ours / three commits: {ratio:.2f} (goal 1.5); beyond them: {excess_ms:.2f} ms (goal 5)")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50, help="jobs a round")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    show_machine()
    with TemporaryDirectory() as folder:
        run(_measure(Path(folder), arguments.rounds, arguments.jobs))


if __name__ == "__main__":
    main()
