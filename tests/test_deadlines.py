"""`Cancel-After`: a request that is not finished in time is cancelled, by a clock that nobody can set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from safelight.accounts.accounts import OWNER_ID
from safelight.db.tables import jobs
from safelight.jobs import JobStatus, Report
from safelight.texts import Language
from safelight.upkeep.deadlines import Deadlines
from tests.jobs import MODEL, new_job

AFTER_S = 90.0
REPORT = Report(seed=1, weights="nano", timings={})


@pytest.fixture
def deadlines(store, clock):
    return Deadlines(store, clock)


async def submitted(store, **changes):
    now = datetime.now(UTC)
    job = new_job(created_at=now, deadline_at=now + timedelta(seconds=AFTER_S), **changes)
    await store.add(job)
    return job


async def found(store, job):
    return await store.get(job.id, OWNER_ID)


async def test_a_queued_job_is_cancelled_when_its_time_is_over(store, deadlines, clock):
    job = await submitted(store)
    await deadlines.tick()
    clock.now_s += AFTER_S - 0.1
    await deadlines.tick()
    assert (await found(store, job)).status is JobStatus.IN_QUEUE
    clock.now_s += 0.1
    await deadlines.tick()
    ended = await found(store, job)
    assert (ended.status, ended.error.code) == (JobStatus.CANCELLED, "deadline_exceeded")
    assert ended.error.message == "The request was not finished before its deadline."
    assert ended.finished_at
    assert await store.claim("worker", [MODEL]) is None


async def test_a_running_job_is_told_to_stop_and_ends_as_cancelled(store, deadlines, clock):
    await submitted(store, language=Language.KO)
    job = await store.claim("worker", [MODEL])
    await deadlines.tick()
    clock.now_s += AFTER_S
    await deadlines.tick()
    await deadlines.tick()
    told = await found(store, job)
    assert (told.status, told.cancel_requested) == (JobStatus.IN_PROGRESS, True)
    assert not await store.complete(job, [], [], REPORT)
    assert await store.release(job)
    ended = await found(store, job)
    assert (ended.status, ended.error.code) == (JobStatus.CANCELLED, "deadline_exceeded")
    assert ended.error.message == "요청이 기한 안에 끝나지 않았습니다."


async def test_what_is_finished_in_time_stays_so(store, deadlines, clock):
    await submitted(store)
    job = await store.claim("worker", [MODEL])
    await deadlines.tick()
    assert await store.complete(job, [], [], REPORT)
    clock.now_s += 10 * AFTER_S
    await deadlines.tick()
    assert (await found(store, job)).status is JobStatus.COMPLETED


async def test_the_time_goes_on_when_the_job_goes_back_to_the_queue(store, deadlines, clock):
    await submitted(store)
    await deadlines.tick()
    clock.now_s += AFTER_S / 2
    job = await store.claim("worker", [MODEL])
    await store.lose_attempt(job)
    clock.now_s += AFTER_S / 2
    await deadlines.tick()
    assert (await found(store, job)).status is JobStatus.CANCELLED


async def test_a_job_without_a_deadline_is_left_alone(store, deadlines, clock):
    job = new_job()
    await store.add(job)
    await deadlines.tick()
    clock.now_s += 10**6
    await deadlines.tick()
    assert (await found(store, job)).status is JobStatus.IN_QUEUE


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1)])
@pytest.mark.parametrize("sign", [1, -1])
async def test_a_jump_of_the_wall_clock_ends_nothing_early_and_nothing_late(
    store, database, deadlines, clock, jump, sign
):
    """A jump forward is the same as a job that came so much earlier by the clock on the wall."""
    job = await submitted(store)
    await deadlines.tick()
    times = [("created_at", job.created_at), ("deadline_at", job.deadline_at)]
    moved = {name: moment - sign * jump for name, moment in times}
    await database.write(lambda connection: connection.execute(sa.update(jobs).values(moved)))
    clock.now_s += AFTER_S - 0.1
    await deadlines.tick()
    assert (await found(store, job)).status is JobStatus.IN_QUEUE
    clock.now_s += 0.1
    await deadlines.tick()
    assert (await found(store, job)).status is JobStatus.CANCELLED


async def by_the_wall(store, jump):
    """What the watch must not do: compare the deadline with the clock on the wall."""
    now = datetime.now(UTC) + jump
    rows = await store._database.read(
        lambda connection: connection.execute(sa.select(jobs.c.id, jobs.c.deadline_at)).all()
    )
    for row in rows:
        if now >= row.deadline_at:
            await store.overdue(row.id)


async def test_counter_proof_a_watch_by_the_wall_clock_ends_a_job_early(store):
    job = await submitted(store)
    await by_the_wall(store, timedelta(hours=1))
    assert (await found(store, job)).status is JobStatus.CANCELLED


@pytest.mark.parametrize(
    "text", ["0s", "90", "90 s", "s", "-1s", "1.5s", "1m", "9999999999s", "", "2592001s"]
)
def test_a_deadline_that_makes_no_sense_is_400(client, text):
    answer = client.post("/v1/models/test/instant", json={}, headers={"Cancel-After": text})
    assert (answer.status_code, answer.json()["error_code"]) == (400, 400005)
    assert "90s" in answer.json()["error_message"]


def test_the_header_sets_the_deadline(server, client):
    answer = client.post("/v1/models/test/instant", json={}, headers={"Cancel-After": "90s"})
    job = server.claim(answer.json()["request_id"])
    assert job.deadline_at - job.created_at == timedelta(seconds=90)
