"""A real worker with its children, on SQLite, for the benchmarks that measure what is around a model."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from safelight.accounts.accounts import OWNER_ID, Accounts
from safelight.db.database import Database
from safelight.db.wake import Waker, open_waker
from safelight.engine.parent import Child
from safelight.engine.protocol import Setup
from safelight.files.files import LocalFiles
from safelight.jobs import Job, JobError, JobStatus, Json, Output, Report, new_id
from safelight.models import load_catalogue
from safelight.network.fetch import Fetcher
from safelight.queue.store import Store, StoredFile
from safelight.worker.lora_cache import LoraCache
from safelight.worker.lora_library import LoraLibrary
from safelight.worker.running import Equipment
from safelight.worker.worker import Worker

MODELS = Path(__file__).parent / "models"


class Watched(Store):
    """The store, which tells when a job has ended, so that no polling is measured."""

    def __init__(self, database: Database, waker: Waker) -> None:
        super().__init__(database, waker)
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def submit(self, model_id: str, values: Json) -> str:
        """Put the owner's job into the queue; its id."""
        job = Job(new_id(), OWNER_ID, model_id, values, JobStatus.IN_QUEUE, 0, datetime.now(UTC))
        await self.add(job)
        return job.id

    async def completed(self, job_id: str) -> Job:
        """Wait until a job is completed."""
        await self._ended[job_id].wait()
        found = await self.get(job_id, OWNER_ID)
        assert found is not None
        assert found.status is JobStatus.COMPLETED, found.error
        return found

    async def complete(
        self, job: Job, outputs: Sequence[StoredFile], shown: Sequence[Output], report: Report
    ) -> bool:
        """End a job well."""
        done = await super().complete(job, outputs, shown, report)
        self._ended[job.id].set()
        return done

    async def fail(self, job: Job, error: JobError) -> bool:
        """End a job badly."""
        done = await super().fail(job, error)
        self._ended[job.id].set()
        return done


@asynccontextmanager
async def working(folder: Path, fetcher: Fetcher) -> AsyncIterator[Watched]:
    """The queue of a worker that runs `benchmarks/models` in this folder, until the block ends."""
    url = f"sqlite:///{folder / 'safelight.db'}"
    database = await Database.open(url)
    await Accounts(database).ensure_owner("k" * 32)
    waker = open_waker(url)
    store = Watched(database, waker)
    equipment = Equipment(
        store=store,
        files=LocalFiles(folder / "files"),
        fetcher=fetcher,
        loras=LoraLibrary(LoraCache(folder / "loras", 10**9), fetcher, hub_url="https://huggingface.co"),
        catalogue=load_catalogue(MODELS),
        child=Child(Setup("cpu", str(MODELS))),
    )
    stop = asyncio.Event()
    worker = Worker("benchmark", equipment, waker=waker, scratch=folder)
    task = asyncio.create_task(worker.run(stop, stop))
    try:
        yield store
    finally:
        stop.set()
        await task
        await waker.close()
        await database.close()
