"""From a job to its row and back."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from safelight.jobs import Job, JobError, JobStatus, Json, Output, Progress, Report
from safelight.prices import Rate, Unit
from safelight.texts import Language


def row_of(job: Job) -> Json:
    """Return a new job's column values; the rest is null until somebody claims it."""
    return {
        "id": job.id,
        "account_id": job.account_id,
        "model_id": job.model_id,
        "input": job.input,
        "status": job.status,
        "attempt": job.attempt,
        "cost": job.cost,
        "rate": {name: str(value) for name, value in vars(job.rate).items()} if job.rate else None,
        "key_id": job.key_id,
        "cancel_requested": job.cancel_requested,
        "heartbeats": 0,
        "deadline_at": job.deadline_at,
        "created_at": job.created_at,
        "language": job.language,
    }


def job_of(row: Any) -> Job:
    """Return the job of a complete row."""
    return Job(
        id=row.id,
        account_id=row.account_id,
        model_id=row.model_id,
        input=row.input,
        status=JobStatus(row.status),
        attempt=row.attempt,
        created_at=row.created_at,
        cost=row.cost,
        rate=_rate(row.rate) if row.rate else None,
        key_id=row.key_id,
        progress=None if row.progress_step is None else Progress(row.progress_step, row.progress_steps),
        preview=row.preview,
        outputs=tuple(map(_output, row.outputs or ())),
        error=JobError(**row.error) if row.error else None,
        report=_report(row.report) if row.report else None,
        worker_id=row.worker_id,
        cancel_requested=row.cancel_requested,
        heartbeat_at=row.heartbeat_at,
        deadline_at=row.deadline_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        language=Language(row.language),
        upstream_task=row.upstream_task,
    )


def _rate(rate: Json) -> Rate:
    return Rate(Decimal(rate["usd"]), Unit(rate["unit"]), Decimal(rate["extra"]))


def output_row(output: Output) -> Json:
    """Return an output as JSON."""
    until = output.expires_at
    return {**vars(output), "expires_at": until.isoformat() if until else None}


def _output(row: Json) -> Output:
    until = row.get("expires_at")
    return Output(**{**row, "expires_at": datetime.fromisoformat(until) if until else None})


def _report(report: Json) -> Report:
    lists = {name: tuple(report.get(name, ())) for name in ("notes", "loras")}
    return Report(**{**report, **lists})
