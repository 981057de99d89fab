"""Every statement on jobs and files, built once.

A worker's statements are fenced: they touch only a job that is in progress, by this worker, in this attempt.
"""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from safelight.db.statements import Statement
from safelight.db.tables import (
    ENDED,
    IN_PROGRESS,
    IN_QUEUE,
    KEPT_FILES,
    UNFINISHED,
    WITH_DEADLINE,
    JsonText,
    Usd,
    UtcDateTime,
    files,
    idempotency_keys,
    jobs,
    webhook_attempts,
    webhook_events,
    webhooks,
)
from safelight.jobs import MAX_ATTEMPTS, JobStatus, Json
from safelight.queue import order
from safelight.queue.running_limits import holds_back
from safelight.texts import Language

_now = bindparam("now", type_=UtcDateTime)
_FREE = sa.literal_column("0", Usd)
"""What a job costs that has come to nothing."""
_why = bindparam("why", type_=JsonText)
_why_in_korean = bindparam("why_in_korean", type_=JsonText)
_this = jobs.c.id == bindparam("job")
_of_account = sa.and_(jobs.c.account_id == bindparam("account"), jobs.c.erased_at.is_(None))
_this_attempt = sa.and_(_this, IN_PROGRESS, jobs.c.attempt == bindparam("of_attempt"))
# Finish only what is still ours: a worker thought lost may come back after a requeue.
_ours = sa.and_(_this_attempt, jobs.c.worker_id == bindparam("worker"))

# --- Files ---

ADD_FILE = Statement(sa.insert(files).returning(files.c.id), columns=files.columns.keys())
GET_FILE = Statement(sa.select(files).where(files.c.id == bindparam("file")))

FILES_OF_JOB = Statement(
    sa.select(files.c.id).where(
        files.c.job_id == bindparam("job"), files.c.account_id == bindparam("account"), KEPT_FILES
    )
)
REMOVE_FILES_OF_JOB = Statement(
    sa.update(files)
    .where(files.c.job_id == bindparam("job"), KEPT_FILES)
    .values(removed_at=_now)
    .returning(files.c.id)
)

# --- Keys that make retries safe ---

# Postgres' own INSERT compiles for SQLite too; SQLite's does not for Postgres.
ADD_RECEIPT = Statement(
    postgresql.insert(idempotency_keys).on_conflict_do_nothing().returning(idempotency_keys.c.job_id),
    columns=idempotency_keys.columns.keys(),
)
RECEIPT = Statement(
    sa.select(idempotency_keys).where(
        idempotency_keys.c.account_id == bindparam("account"), idempotency_keys.c.key == bindparam("key")
    )
)
FORGET_RECEIPTS_OF_JOB = Statement(
    sa.delete(idempotency_keys).where(
        idempotency_keys.c.account_id == bindparam("account"), idempotency_keys.c.job_id == bindparam("job")
    )
)
FORGET_RECEIPTS = Statement(
    sa.delete(idempotency_keys).where(idempotency_keys.c.created_at < bindparam("before", type_=UtcDateTime))
)

# --- Webhooks of a job ---

ADD_WEBHOOK = Statement(sa.insert(webhooks), columns=webhooks.columns.keys())
_events_of_job = webhook_events.c.job_id == bindparam("job")
FORGET_WEBHOOK_OF_JOB = (
    Statement(
        sa.delete(webhook_attempts).where(
            webhook_attempts.c.event_id.in_(sa.select(webhook_events.c.id).where(_events_of_job))
        )
    ),
    Statement(sa.delete(webhook_events).where(_events_of_job)),
    Statement(sa.delete(webhooks).where(webhooks.c.job_id == bindparam("job"))),
)

# --- Reading jobs ---

GET = Statement(sa.select(jobs).where(_this, _of_account))
WITH_DEADLINE_NOW = Statement(
    sa.select(jobs.c.id, jobs.c.created_at, jobs.c.deadline_at).where(WITH_DEADLINE)
)
RUNNING = Statement(sa.select(jobs.c.id, jobs.c.attempt, jobs.c.heartbeats).where(IN_PROGRESS))

STANDING = Statement(order.standing(_this, _of_account))


@cache
def history(statuses: int, *, of_model: bool, goes_on: bool) -> Statement:
    """Return the newest jobs of an account: in `status_0` …, of `model`, older than the job `before`."""
    chosen = sa.select(jobs).where(_of_account)
    if statuses:
        chosen = chosen.where(jobs.c.status.in_([bindparam(f"status_{n}") for n in range(statuses)]))
    if of_model:
        chosen = chosen.where(jobs.c.model_id == bindparam("model"))
    if goes_on:
        # Also one that was erased meanwhile still marks its place.
        mark = jobs.alias("mark")
        place = sa.select(mark.c.seq).where(
            mark.c.id == bindparam("before"), mark.c.account_id == bindparam("account")
        )
        chosen = chosen.where(jobs.c.seq < place.scalar_subquery())
    return Statement(chosen.order_by(jobs.c.seq.desc()).limit(bindparam("limit", type_=sa.Integer)))


# --- Transitions: each returns a row when it happened ---

ADD = Statement(
    sa.insert(jobs).returning(jobs.c.seq),
    columns=(
        *("id", "account_id", "model_id", "input", "status", "attempt", "cost", "rate"),
        *("cancel_requested", "heartbeats", "deadline_at", "created_at", "language", "key_id"),
    ),
)


@cache
def claim(models: int, preferred: int = 0) -> Statement:
    """Return the claim of the next job in the fair order, for so many models (`order.next_job`)."""
    job = order.next_job(models, preferred)
    return Statement(sa.update(jobs).where(jobs.c.seq == job).values(_CLAIMED).returning(jobs))


_CLAIMED = {
    "status": JobStatus.IN_PROGRESS,
    "attempt": jobs.c.attempt + 1,
    "worker_id": bindparam("worker"),
    # A heartbeat of its own: what maintenance saw of an earlier attempt never fits this one.
    "heartbeats": jobs.c.heartbeats + 1,
    "heartbeat_at": _now,
    "started_at": _now,
}

HEARTBEAT = Statement(
    sa.update(jobs)
    .where(_ours)
    .values(
        heartbeats=jobs.c.heartbeats + 1,
        heartbeat_at=_now,
        progress_step=sa.func.coalesce(bindparam("step", type_=sa.Integer), jobs.c.progress_step),
        progress_steps=sa.func.coalesce(bindparam("steps", type_=sa.Integer), jobs.c.progress_steps),
        preview=sa.func.coalesce(bindparam("preview", type_=sa.Text), jobs.c.preview),
    )
    .returning(jobs.c.cancel_requested)
)

NOTE_UPSTREAM = Statement(
    sa.update(jobs).where(_ours).values(upstream_task=bindparam("task")).returning(jobs.c.status)
)

CANCEL = Statement(
    sa.update(jobs)
    .where(_this, _of_account, IN_QUEUE)
    .values(status=JobStatus.CANCELLED, cost=_FREE, finished_at=_now)
    .returning(jobs)
)

# From here on the job ends as cancelled, whatever its worker says later: out of the queue at once, from a
# worker at its next heartbeat.
_stopped = {
    "status": sa.case((IN_QUEUE, JobStatus.CANCELLED), else_=jobs.c.status),
    "cost": sa.case((IN_QUEUE, _FREE), else_=jobs.c.cost),
    "finished_at": sa.case((IN_QUEUE, _now), else_=sa.null()),
    "cancel_requested": True,
}
STOP = Statement(sa.update(jobs).where(_this, _of_account, UNFINISHED).values(_stopped).returning(jobs))

_shall_end = jobs.c.cancel_requested
_in_its_language = sa.case((jobs.c.language == Language.KO.value, _why_in_korean), else_=_why)
OVERDUE = Statement(
    sa.update(jobs)
    .where(_this, UNFINISHED, sa.not_(_shall_end))
    .values(**_stopped, error=_in_its_language)
    .returning(jobs.c.status)
)

COMPLETE = Statement(
    sa.update(jobs)
    .where(_ours, sa.not_(_shall_end))
    .values(
        status=JobStatus.COMPLETED,
        cost=bindparam("due", type_=Usd),
        preview=sa.null(),
        outputs=bindparam("shown", type_=JsonText),
        report=bindparam("how", type_=JsonText),
        finished_at=_now,
    )
    .returning(jobs.c.status, holds_back())
)

FAIL = Statement(
    sa.update(jobs)
    .where(_ours)
    .values(
        status=sa.case((_shall_end, JobStatus.CANCELLED), else_=JobStatus.FAILED),
        cost=_FREE,
        error=sa.case((_shall_end, jobs.c.error), else_=_why),
        preview=sa.null(),
        finished_at=_now,
    )
    .returning(jobs.c.status, holds_back())
)

# What it was about goes; that it was, and what it cost, stays.
ERASE = Statement(
    sa.update(jobs)
    .where(_this, _of_account, ENDED)
    .values(
        erased_at=_now,
        input=bindparam("nothing", type_=JsonText),
        **dict.fromkeys(("outputs", "error", "report", "preview"), sa.null()),
    )
    .returning(jobs.c.id)
)

_OF_AN_ATTEMPT = ("worker_id", "started_at", "progress_step", "progress_steps")


def _without_worker(ends: sa.ColumnElement[bool]) -> Json:
    """What becomes of a job that no worker has any more: it has ended, or an attempt can begin afresh."""
    return {
        "cost": sa.case((ends, _FREE), else_=jobs.c.cost),
        "finished_at": sa.case((ends, _now), else_=sa.null()),
        "preview": sa.null(),
        **{name: sa.case((ends, jobs.c[name]), else_=sa.null()) for name in _OF_AN_ATTEMPT},
    }


_released = (
    sa.update(jobs)
    .where(_ours)
    .values(
        status=sa.case((_shall_end, JobStatus.CANCELLED), else_=JobStatus.IN_QUEUE),
        attempt=jobs.c.attempt - sa.case((_shall_end, 0), else_=1),
        **_without_worker(_shall_end),
    )
    .returning(jobs.c.status, holds_back())
)
RELEASE = Statement(_released)
END_STOPPED = Statement(_released.where(_shall_end))

_spent = jobs.c.attempt >= MAX_ATTEMPTS
_lost = (
    sa.update(jobs)
    .values(
        status=sa.case(
            (_shall_end, JobStatus.CANCELLED), (_spent, JobStatus.FAILED), else_=JobStatus.IN_QUEUE
        ),
        error=sa.case((_shall_end, jobs.c.error), (_spent, _in_its_language), else_=sa.null()),
        **_without_worker(sa.or_(_shall_end, _spent)),
    )
    .returning(jobs.c.status, holds_back())
)
LOSE_OWN = Statement(_lost.where(_ours))
LOSE_SILENT = Statement(_lost.where(_this_attempt, jobs.c.heartbeats == bindparam("seen_heartbeats")))
