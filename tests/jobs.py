"""Jobs and files for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from safelight.accounts.accounts import OWNER_ID
from safelight.jobs import Job, JobStatus, new_id
from safelight.queue.store import StoredFile

MODEL = "a/model"


def new_job(**changes: object) -> Job:
    """A job that nobody has seen yet. The owner's has a cost, another account's none (`tests.money`)."""
    values: dict[str, object] = {
        "id": new_id(),
        "account_id": OWNER_ID,
        "model_id": MODEL,
        "input": {"prompt": "a red circle", "seed": 1},
        "status": JobStatus.IN_QUEUE,
        "attempt": 0,
        "created_at": datetime.now(UTC),
        "cost": Decimal(0 if "account_id" in changes else "0.0025"),
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type]


def new_file(**changes: object) -> StoredFile:
    """A file of the owner."""
    values: dict[str, object] = {
        "id": new_id(),
        "account_id": OWNER_ID,
        "content_type": "image/png",
        "size_bytes": 3_000_000_000,
        "created_at": datetime.now(UTC),
        "job_id": None,
    }
    return StoredFile(**{**values, **changes})  # type: ignore[arg-type]


class NoWaker:
    """Wakes nobody."""

    async def notify(self) -> None:
        """Do nothing."""

    async def wait(self, timeout_s: float) -> None:
        """Return at once."""

    async def close(self) -> None:
        """Do nothing."""
