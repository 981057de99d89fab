"""The queue: everything that happens to a job is one call here, one transaction, one statement on its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection, Executable

from safelight import queries
from safelight.database import Database
from safelight.errors import WorkerLost
from safelight.jobs import Job, JobError, JobStatus, Json, Output, Progress, Report
from safelight.rows import job_of, row_of
from safelight.wake import Waker


class Lease(StrEnum):
    """What a heartbeat learns about a job."""

    HELD = "held"
    CANCEL_REQUESTED = "cancel_requested"
    LOST = "lost"


@dataclass(frozen=True)
class StoredFile:
    """A file that an account owns: an upload (`job_id` None), or a job's input or output."""

    id: str
    account_id: str
    content_type: str
    size_bytes: int
    created_at: datetime
    job_id: str | None


class Store:
    """The queue and the files' records. Every method raises Unavailable when the database is away."""

    def __init__(self, database: Database, wake: Waker) -> None:
        self._database = database
        self._wake = wake

    # --- for the API ------------------------------------------------------------------------------------

    async def add(self, job: Job, files: Sequence[StoredFile] = ()) -> None:
        """Accept a job and the files that came with it."""
        await self._database.write(lambda connection: _add(connection, job, files))
        await self._wake.notify()

    async def get(self, job_id: str, account_id: str) -> Job | None:
        """Return a job of this account."""
        values = {"job": job_id, "account": account_id}
        return await self._database.read(lambda connection: _one_job(connection, queries.GET, values))

    async def queue_position(self, job: Job) -> int:
        """Return how many queued jobs are ahead of a queued one; 0 is next."""
        values = {"job": job.id}
        return await self._database.read(
            lambda connection: connection.execute(queries.POSITION, values).scalar_one()
        )

    async def cancel(self, job_id: str, account_id: str) -> Job | None:
        """Cancel a job that is still queued. Returns the job as it is then, None when there is none."""
        return await self._database.write(lambda connection: _cancel(connection, job_id, account_id))

    async def add_file(self, file: StoredFile) -> None:
        """Record an uploaded file."""
        await self._database.write(lambda connection: _insert_files(connection, [file]))

    async def file(self, file_id: str) -> StoredFile | None:
        """Return a file's record."""
        return await self._database.read(lambda connection: _file(connection, file_id))

    # --- for workers --------------------------------------------------------------------------------------

    async def claim(self, worker_id: str, model_ids: Sequence[str]) -> Job | None:
        """Take the oldest queued job of these models; None: there is none.

        Await it to the end: a job whose claim was cancelled halfway waits for its lease to run out.
        """
        values = {"worker": worker_id, "model_ids": model_ids, "now": _now()}
        return await self._database.write(lambda connection: _one_job(connection, queries.CLAIM, values))

    async def heartbeat(
        self, worker_id: str, jobs: Mapping[str, tuple[int, Progress | None]]
    ) -> dict[str, Lease]:
        """Renew the leases of a worker's jobs. jobs: job id → (attempt, progress; None leaves it)."""
        return await self._database.write(lambda connection: _heartbeat(connection, worker_id, jobs))

    async def complete(
        self, job: Job, outputs: Sequence[StoredFile], shown: Sequence[Output], report: Report
    ) -> bool:
        """End a job well and record its outputs. False: it is no longer ours, nothing was recorded."""
        values = {
            "shown": [asdict(output) for output in shown],
            "how": asdict(report),
            "now": _now(),
            **_held(job),
        }
        return await self._database.write(lambda connection: _complete(connection, values, outputs))

    async def fail(self, job: Job, error: JobError) -> bool:
        """End a job badly. False: it is no longer ours."""
        values = {"why": asdict(error), "now": _now(), **_held(job)}
        return await self._change(queries.FAIL, values) is not None

    async def release(self, job: Job) -> bool:
        """Put a job back without spending the attempt: the worker drains. False: it is no longer ours."""
        return await self._requeue(queries.RELEASE, _held(job)) is not None

    async def lose_attempt(self, job: Job) -> JobStatus | None:
        """The attempt died: back to the queue, after the last one failed. None: it is no longer ours."""
        return await self._requeue(queries.LOSE_OWN, {**_lost(), **_held(job)})

    # --- for maintenance ----------------------------------------------------------------------------------

    async def in_progress(self) -> list[tuple[str, int, int]]:
        """Return (job id, attempt, heartbeats) of all jobs in progress."""
        return await self._database.read(
            lambda connection: [tuple(row) for row in connection.execute(queries.RUNNING)]
        )

    async def requeue_lost(self, job_id: str, attempt: int, heartbeats: int) -> JobStatus | None:
        """The worker died: as `lose_attempt`, if no heartbeat came since `in_progress`. None: one did."""
        seen = {"job": job_id, "of_attempt": attempt, "seen_heartbeats": heartbeats}
        return await self._requeue(queries.LOSE_SILENT, {**_lost(), **seen})

    async def _change(self, statement: Executable, values: Json) -> JobStatus | None:
        status = await self._database.write(lambda connection: connection.execute(statement, values).scalar())
        return JobStatus(status) if status else None

    async def _requeue(self, statement: Executable, values: Json) -> JobStatus | None:
        status = await self._change(statement, values)
        if status is JobStatus.IN_QUEUE:
            await self._wake.notify()
        return status


# --- Functions over a connection ----------------------------------------------------------------------------


def _add(connection: Connection, job: Job, files: Sequence[StoredFile]) -> None:
    connection.execute(queries.ADD, row_of(job))
    _insert_files(connection, files)


def _insert_files(connection: Connection, files: Sequence[StoredFile]) -> None:
    for file in files:
        connection.execute(queries.ADD_FILE, vars(file))


def _one_job(connection: Connection, statement: Executable, values: Json) -> Job | None:
    row = connection.execute(statement, values).first()
    return job_of(row) if row else None


def _cancel(connection: Connection, job_id: str, account_id: str) -> Job | None:
    values = {"job": job_id, "account": account_id}
    connection.execute(queries.CANCEL, {**values, "now": _now()})
    return _one_job(connection, queries.GET, values)


def _file(connection: Connection, file_id: str) -> StoredFile | None:
    row = connection.execute(queries.GET_FILE, {"file": file_id}).first()
    return StoredFile(**row._mapping) if row else None


def _heartbeat(
    connection: Connection, worker_id: str, jobs: Mapping[str, tuple[int, Progress | None]]
) -> dict[str, Lease]:
    return {
        job_id: _beat(connection, worker_id, job_id, attempt, progress)
        for job_id, (attempt, progress) in jobs.items()
    }


def _beat(
    connection: Connection, worker_id: str, job_id: str, attempt: int, progress: Progress | None
) -> Lease:
    held = {"job": job_id, "worker": worker_id, "of_attempt": attempt}
    step, steps = (progress.step, progress.steps) if progress else (None, None)
    cancel_requested = connection.execute(
        queries.HEARTBEAT, {**held, "now": _now(), "step": step, "steps": steps}
    ).scalar()
    if cancel_requested is None:
        return Lease.LOST
    return Lease.CANCEL_REQUESTED if cancel_requested else Lease.HELD


def _complete(connection: Connection, values: Json, outputs: Sequence[StoredFile]) -> bool:
    if connection.execute(queries.COMPLETE, values).scalar() is None:
        return False
    _insert_files(connection, outputs)
    return True


def _held(job: Job) -> Json:
    return {"job": job.id, "worker": job.worker_id, "of_attempt": job.attempt}


def _lost() -> Json:
    return {"why": asdict(JobError(WorkerLost.code, WorkerLost().message)), "now": _now()}


def _now() -> datetime:
    return datetime.now(UTC)
