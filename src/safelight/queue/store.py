"""The queue: everything that happens to a job is one call here, one transaction, one statement on its row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from safelight.credits.statements import settle
from safelight.db.clock import STEADY, SteadyClock
from safelight.db.database import Database
from safelight.db.statements import Call
from safelight.db.wake import Waker
from safelight.errors import DeadlineExceeded, JobFailure, WorkerLost
from safelight.images.previews import data_uri
from safelight.jobs import Job, JobError, JobStatus, Json, Output, Progress, Report
from safelight.queue import queries
from safelight.queue.rows import job_of, output_row, row_of
from safelight.queue.turns import FIRST_TURN, Turn

KEYS_LAST = timedelta(hours=24)
"""How long an idempotency key is known, at least."""


class Lease(StrEnum):
    """What a heartbeat learns about a job."""

    HELD = "held"
    CANCEL_REQUESTED = "cancel_requested"
    LOST = "lost"


@dataclass(frozen=True)
class StoredFile:
    """A file that an account owns: an upload (`job_id` None), or a job's input or output.

    expires_at: it is kept at least until then; None: for ever. removed_at: its bytes are gone.
    """

    id: str
    account_id: str
    content_type: str
    size_bytes: int
    created_at: datetime
    job_id: str | None
    expires_at: datetime | None = None
    removed_at: datetime | None = None


@dataclass(frozen=True)
class Receipt:
    """Which job a submission under an account's key has led to. sha256: of what was submitted."""

    account_id: str
    key: str
    sha256: bytes
    job_id: str


@dataclass(frozen=True)
class Webhook:
    """Who is told when a job ends. intermediate: on its way too. base_url: what URLs in it start with."""

    url: str
    intermediate: bool
    base_url: str


@dataclass(frozen=True)
class Standing:
    """Where a job is. ahead: queued jobs that go before it, 0 = next; None unless it is queued."""

    status: JobStatus
    ahead: int | None


class Store:
    """The queue and the files' records. Every method raises Unavailable when the database is away."""

    def __init__(self, database: Database, wake: Waker, clock: SteadyClock = STEADY) -> None:
        """clock: what things that are kept for a while are dated by."""
        self._database = database
        self._wake = wake
        self._clock = clock

    # --- For the API ---

    async def add(
        self,
        job: Job,
        files: Sequence[StoredFile] = (),
        terms: Sequence[Call] = (),
        receipt: Receipt | None = None,
        webhook: Webhook | None = None,
    ) -> bool:
        """Accept a job, its files, the key that it came under and who is told of it, on these terms.

        What the terms refuse undoes all of it. False: a job has been accepted under that key already, and
        nothing is recorded.
        """
        calls = [Call(queries.ADD, row_of(job)), *map(_recorded, files), *terms]
        if webhook is not None:
            owner = {"job_id": job.id, "account_id": job.account_id}
            calls.append(Call(queries.ADD_WEBHOOK, {**owner, **vars(webhook)}))
        if receipt is not None:
            calls.insert(0, Call(queries.ADD_RECEIPT, {**vars(receipt), "created_at": self._clock.now()}))
        if await self._database.change(*calls) is None:
            return False
        await self._wake.notify()
        return True

    async def receipt(self, account_id: str, key: str) -> Receipt | None:
        """Return what a submission of this account under this key has led to."""
        rows = await self._database.rows(queries.RECEIPT, {"account": account_id, "key": key})
        return Receipt(rows[0].account_id, rows[0].key, rows[0].sha256, rows[0].job_id) if rows else None

    async def get(self, job_id: str, account_id: str) -> Job | None:
        """Return a job of this account."""
        rows = await self._database.rows(queries.GET, {"job": job_id, "account": account_id})
        return job_of(rows[0]) if rows else None

    async def standing(self, job_id: str, account_id: str) -> Standing | None:
        """Return where a job of this account is: what is polled most, so it reads no more than that."""
        rows = await self._database.rows(queries.STANDING, {"job": job_id, "account": account_id})
        return Standing(JobStatus(rows[0].status), rows[0].ahead) if rows else None

    async def cancel(self, job_id: str, account_id: str) -> Job | None:
        """Cancel a job that is still queued. Returns the job as it is then, None when there is none."""
        values = {"job": job_id, "account": account_id, "now": _now()}
        row = await self._database.change(Call(queries.CANCEL, values), settle(job_id))
        return job_of(row) if row else await self.get(job_id, account_id)

    async def stop(self, job_id: str, account_id: str) -> Job | None:
        """Cancel a job, queued or running. Returns it as it is then, None when there is none.

        One that runs is marked: from then on it ends as cancelled, at its next step.
        """
        values = {"job": job_id, "account": account_id, "now": _now()}
        row = await self._database.change(Call(queries.STOP, values), settle(job_id))
        return job_of(row) if row else await self.get(job_id, account_id)

    async def add_file(self, file: StoredFile) -> None:
        """Record an uploaded file."""
        await self._database.change(_recorded(file))

    async def file(self, file_id: str) -> StoredFile | None:
        """Return a file's record."""
        rows = await self._database.rows(queries.GET_FILE, {"file": file_id})
        return StoredFile(**rows[0]._asdict()) if rows else None

    # --- For workers ---

    async def claim(self, worker_id: str, model_ids: Sequence[str], turn: Turn = FIRST_TURN) -> Job | None:
        """Take the next job of these models in the fair order; None: there is none.

        Await it to the end: a job whose claim was cancelled halfway waits for its lease to run out.
        """
        if not model_ids:
            return None
        models = {f"model_{number}": model_id for number, model_id in enumerate(model_ids)}
        first = {f"preferred_{number}": model_id for number, model_id in enumerate(turn.preferred_ids)}
        afters = {"after": turn.after, "preferred_after": turn.preferred_after}
        values = {"worker": worker_id, "now": _now(), **models, **first, **afters}
        row = await self._database.change(Call(queries.claim(len(models), len(first)), values))
        return job_of(row) if row else None

    async def heartbeat(
        self, worker_id: str, jobs: Mapping[str, tuple[int, Progress | None]]
    ) -> dict[str, Lease]:
        """Renew the leases of a worker's jobs. jobs: job id → (attempt, progress; None leaves it)."""
        leases = await asyncio.gather(
            *(self._beat(worker_id, job_id, *known) for job_id, known in jobs.items())
        )
        return dict(zip(jobs, leases, strict=True))

    async def note_upstream(self, job: Job, task: str) -> bool:
        """Remember what this attempt has begun at an upstream. False: the job is no longer ours."""
        noted = Call(queries.NOTE_UPSTREAM, {**_held(job), "task": task})
        return await self._database.change(noted) is not None

    async def complete(
        self, job: Job, outputs: Sequence[StoredFile], shown: Sequence[Output], report: Report
    ) -> bool:
        """End a job well and record its outputs.

        False: it is no longer ours, or shall be cancelled; nothing was recorded.
        """
        result = {"shown": list(map(output_row, shown)), "how": vars(report)}
        due = cost_of(job, shown, report)
        guard = Call(queries.COMPLETE, {**_held(job), **result, "due": due, "now": _now()})
        return await self._end(guard, *map(_recorded, outputs), *_settled(job))

    async def fail(self, job: Job, error: JobError) -> bool:
        """End a job badly. False: it is no longer ours."""
        values = {**_held(job), "why": vars(error), "now": _now()}
        return await self._end(Call(queries.FAIL, values), *_settled(job))

    async def release(self, job: Job) -> bool:
        """Put a job back without spending the attempt; one that shall be cancelled ends.

        False: it is no longer ours.
        """
        released = Call(queries.RELEASE, {**_held(job), "now": _now()})
        return await self._put_back(released, *_settled(job)) is not None

    async def end_stopped(self, job: Job) -> bool:
        """End a job that was stopped when it was all but done. False: nobody did, or it is not ours."""
        stopped = Call(queries.END_STOPPED, {**_held(job), "now": _now()})
        return await self._put_back(stopped, *_settled(job)) is not None

    async def lose_attempt(self, job: Job) -> JobStatus | None:
        """The attempt died: back to the queue, after the last one failed; one that shall be cancelled ends.

        None: it is no longer ours.
        """
        return await self._put_back(
            Call(queries.LOSE_OWN, {**_held(job), **_because(WorkerLost())}), *_settled(job)
        )

    # --- For maintenance ---

    async def in_progress(self) -> list[tuple[str, int, int]]:
        """Return (job id, attempt, heartbeats) of all jobs in progress."""
        return [tuple(row) for row in await self._database.rows(queries.RUNNING, {})]

    async def requeue_lost(self, job_id: str, attempt: int, heartbeats: int) -> JobStatus | None:
        """The worker died: as `lose_attempt`, if no heartbeat came since `in_progress`. None: one did."""
        seen = {"job": job_id, "of_attempt": attempt, "seen_heartbeats": heartbeats}
        return await self._put_back(
            Call(queries.LOSE_SILENT, {**seen, **_because(WorkerLost())}), settle(job_id)
        )

    async def with_deadline(self) -> list[tuple[str, float]]:
        """Return (job id, seconds from its acceptance) of all unfinished jobs that have a deadline."""
        rows = await self._database.rows(queries.WITH_DEADLINE_NOW, {})
        return [(row.id, (row.deadline_at - row.created_at).total_seconds()) for row in rows]

    async def overdue(self, job_id: str) -> JobStatus | None:
        """The deadline has passed: cancel the job as `stop` does. None: it has ended, or is about to."""
        row = await self._database.change(
            Call(queries.OVERDUE, {"job": job_id, **_because(DeadlineExceeded())}), settle(job_id)
        )
        return JobStatus(row.status) if row else None

    async def erase(self, job_id: str, account_id: str) -> list[str] | None:
        """Erase what a job that has ended was about. None: there is no such job, or it has not ended.

        Returns the ids of its files, which are removed from here on: their bytes are the caller's to delete.
        """
        rows = await self._database.rows(queries.FILES_OF_JOB, {"job": job_id, "account": account_id})
        values = {"job": job_id, "account": account_id, "now": self._clock.now(), "nothing": {}}
        then = (queries.REMOVE_FILES_OF_JOB, queries.FORGET_RECEIPTS_OF_JOB, *queries.FORGET_WEBHOOK_OF_JOB)
        row = await self._database.change(
            Call(queries.ERASE, values), *(Call(statement, values) for statement in then)
        )
        return [found.id for found in rows] if row else None

    async def history(
        self,
        account_id: str,
        limit: int,
        *,
        before: str | None = None,
        statuses: Sequence[JobStatus] = (),
        model_id: str | None = None,
    ) -> list[Job]:
        """Return an account's jobs, the newest first. before: a job's id; those that came before it."""
        values = {"account": account_id, "limit": limit, "before": before, "model": model_id}
        values |= {f"status_{number}": status for number, status in enumerate(statuses)}
        statement = queries.history(len(statuses), of_model=model_id is not None, goes_on=before is not None)
        return [job_of(row) for row in await self._database.rows(statement, values)]

    async def forget_receipts(self) -> None:
        """Forget the keys that are older than KEYS_LAST."""
        await self._database.change(Call(queries.FORGET_RECEIPTS, {"before": self._clock.now() - KEYS_LAST}))

    async def _beat(self, worker_id: str, job_id: str, attempt: int, progress: Progress | None) -> Lease:
        step, steps = (progress.step, progress.steps) if progress else (None, None)
        shown = data_uri(progress.preview) if progress and progress.preview else None
        held = {"job": job_id, "worker": worker_id, "of_attempt": attempt}
        values = {**held, "step": step, "steps": steps, "preview": shown, "now": _now()}
        row = await self._database.change(Call(queries.HEARTBEAT, values))
        if row is None:
            return Lease.LOST
        return Lease.CANCEL_REQUESTED if row.cancel_requested else Lease.HELD

    async def _end(self, guard: Call, *more: Call) -> bool:
        row = await self._database.change(guard, *more)
        if row and row.holds_back:
            await self._wake.notify()
        return row is not None

    async def _put_back(self, call: Call, *settlement: Call) -> JobStatus | None:
        row = await self._database.change(call, *settlement)
        if row and (row.status == JobStatus.IN_QUEUE or row.holds_back):
            await self._wake.notify()
        return JobStatus(row.status) if row else None


def cost_of(job: Job, shown: Sequence[Output], report: Report) -> Decimal:
    """What a job has come to: never more than what was held for it."""
    if job.rate is None:
        return job.cost
    drawing_s = sum(report.timings.get(stage, 0.0) for stage in ("generate", "upstream"))
    return min(job.cost, job.rate.cost([(output.width, output.height) for output in shown], drawing_s))


def _recorded(file: StoredFile) -> Call:
    return Call(queries.ADD_FILE, vars(file))


def _settled(job: Job) -> tuple[Call, ...]:
    """What ends with a job besides itself: nothing is in the ledger of one that is free."""
    return (settle(job.id),) if job.cost else ()


def _held(job: Job) -> Json:
    return {"job": job.id, "worker": job.worker_id, "of_attempt": job.attempt}


def _because(reason: JobFailure) -> Json:
    why, in_korean = (vars(JobError(reason.code, words)) for words in (reason.text.en, reason.text.ko))
    return {"why": why, "why_in_korean": in_korean, "now": _now()}


def _now() -> datetime:
    return datetime.now(UTC)
