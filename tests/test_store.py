from __future__ import annotations

from datetime import UTC, datetime

from safelight.accounts import OWNER_ID
from safelight.jobs import Job, JobStatus, new_id


def new_job(**changes: object) -> Job:
    values: dict[str, object] = {
        "id": new_id(),
        "account_id": OWNER_ID,
        "model_id": "a/model",
        "input": {"prompt": "a red circle", "seed": 1},
        "status": JobStatus.IN_QUEUE,
        "attempt": 0,
        "created_at": datetime.now(UTC),
    }
    return Job(**{**values, **changes})  # type: ignore[arg-type]


async def test_a_job_is_read_back_as_it_was_added(store):
    job = new_job()
    await store.add(job)
    assert await store.get(job.id, OWNER_ID) == job


async def test_claim(store):
    job = new_job()
    await store.add(job)
    claimed = await store.claim("w", ["a/model"])
    assert claimed.id == job.id
    assert claimed.attempt == 1
    assert await store.claim("w", ["a/model"]) is None
