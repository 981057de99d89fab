"""What an operator is shown of the queue."""

from __future__ import annotations

from safelight.accounts.accounts import OWNER_EMAIL, Accounts
from safelight.jobs import JobError, Progress, Report
from safelight.queue.operations import Operations
from tests.jobs import MODEL, new_job

REPORT = Report(seed=1, weights="nano", timings={}, notes=())


async def test_the_queue_is_told_by_model_and_account_the_longest_waiting_first(store, database):
    neighbour = await Accounts(database).create("neighbour@example.org")
    first = new_job(model_id="b/model")
    for job in (first, new_job(), new_job(account_id=neighbour.id), new_job(model_id="b/model")):
        await store.add(job)
    waiting = await Operations(database).waiting()
    assert [(one.model_id, one.email, one.jobs) for one in waiting] == [
        ("b/model", OWNER_EMAIL, 2),
        (MODEL, OWNER_EMAIL, 1),
        (MODEL, "neighbour@example.org", 1),
    ]
    assert waiting[0].oldest_at == first.created_at


async def test_what_runs_is_told_with_its_worker_and_progress(store, database):
    await store.add(new_job())
    job = await store.claim("worker-1", [MODEL])
    await store.heartbeat("worker-1", {job.id: (1, Progress(3, 8))})
    (one,) = await Operations(database).running()
    assert (one.id, one.worker_id, one.attempt, one.step, one.steps) == (job.id, "worker-1", 1, 3, 8)
    assert await Operations(database).waiting() == []


async def test_the_last_failures_come_first(store, database):
    operations = Operations(database)
    for number in range(3):
        await store.add(new_job())
        job = await store.claim("worker-1", [MODEL])
        await store.fail(job, JobError("corrupt_image", f"number {number}"))
    await store.add(new_job())
    await store.complete(await store.claim("worker-1", [MODEL]), [], [], REPORT)
    failures = await operations.failures(2)
    assert [one.error.message for one in failures] == ["number 2", "number 1"]
    assert failures[0].error.code == "corrupt_image"
    assert await operations.running() == []
