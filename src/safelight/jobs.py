"""What a job is: data only.

A submitted request is a *job*. It moves `in_queue → in_progress → completed | failed | cancelled`; a job
whose worker was lost goes back to `in_queue` until its attempts are spent. Everything that changes a job
is one statement in `queue/store.py`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from safelight.prices import Rate
from safelight.texts import Language

MAX_ATTEMPTS = 3

Json = dict[str, Any]
"""A JSON object."""


class JobStatus(StrEnum):
    """Where a job is. Final states never change again."""

    IN_QUEUE = "in_queue"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in {self.COMPLETED, self.FAILED, self.CANCELLED}


@dataclass(frozen=True)
class Preview:
    """What the image looks like so far: a small picture as raw RGB bytes."""

    width: int
    height: int
    rgb: bytes


@dataclass(frozen=True)
class Progress:
    """How far the running attempt is: `step` of `steps` denoising steps are done."""

    step: int
    steps: int
    preview: Preview | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Output:
    """One stored image of a completed job. expires_at: it is kept at least until then; None: for ever."""

    file_id: str
    content_type: str
    width: int
    height: int
    size_bytes: int
    expires_at: datetime | None = None


@dataclass(frozen=True)
class JobError:
    """Why a job failed: a stable code and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Report:
    """How the outputs came about, for the result and for reproducing it.

    seed: the one used. weights: which weights drew (`nano`, `real`). timings: seconds per stage.
    notes: plain sentences on what had no effect or was cut. loras: what became of each, as JSON objects.
    expanded_prompt: what magic prompt made of the prompt. backend: for models that have several, which drew.
    """

    seed: int
    weights: str
    timings: dict[str, float]
    notes: tuple[str, ...] = ()
    loras: tuple[Json, ...] = ()
    expanded_prompt: str | None = None
    backend: str | None = None


@dataclass(frozen=True)
class Job:
    """One submitted request and all that is known of it. Times are in UTC.

    cost: in US dollars; while it is under way, at most. rate: how the outcome decides the cost; None: it is
    certain. key_id: the key it came with. language: the one the request was made in. upstream_task: what an
    attempt has begun at an upstream. preview: what a running one looks like so far, as a data URI.
    """

    id: str
    account_id: str
    model_id: str
    input: Json
    status: JobStatus
    attempt: int
    created_at: datetime
    cost: Decimal = Decimal(0)
    rate: Rate | None = None
    key_id: str | None = None
    progress: Progress | None = None
    outputs: tuple[Output, ...] = ()
    error: JobError | None = None
    report: Report | None = None
    worker_id: str | None = None
    cancel_requested: bool = False
    heartbeat_at: datetime | None = None
    deadline_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    language: Language = Language.EN
    upstream_task: str | None = None
    preview: str | None = None


def new_id() -> str:
    """An unguessable id: 128 random bits in 22 URL-safe characters.

    None begins with a dash, which a command line would take for an option.
    """
    while (drawn := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return drawn
