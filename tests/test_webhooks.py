"""Events: written with the transition that they tell of, delivered in order, tried for a day."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from safelight.accounts.accounts import OWNER_ID
from safelight.db.tables import accounts
from safelight.jobs import JobError, JobStatus, Report
from safelight.queue.store import Webhook
from safelight.queue.webhooks import BACKOFF_S, EVENTS_LAST, LEASE_S, EventState, Try, Webhooks
from tests.jobs import MODEL, new_job
from tests.test_idempotency import Clocks

REPORT = Report(seed=1, weights="nano", timings={})
ERROR = JobError("internal_error", "It broke.")
URL = "https://example.org/hook"


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def webhooks(database, clocks):
    return Webhooks(database, clocks.steady())


async def submitted(store, *, intermediate=False, **changes):
    job = new_job(**changes)
    assert await store.add(job, webhook=Webhook(URL, intermediate, "https://images.example.org"))
    return job


async def claimed(store, **options):
    await submitted(store, **options)
    return await store.claim("worker", [MODEL])


async def told(webhooks, job):
    return [event.status for event in reversed(await webhooks.log(OWNER_ID, 100, job_id=job.id))]


def tried(event, http_status, clock):
    return Try(event.id, clock.now(), http_status, 100)


# --- What is written ---


async def completes(store, job):
    assert await store.complete(job, [], [], REPORT)


async def fails(store, job):
    assert await store.fail(job, ERROR)


async def is_stopped(store, job):
    await store.stop(job.id, OWNER_ID)
    await store.release(job)


async def is_overdue(store, job):
    await store.overdue(job.id)
    await store.lose_attempt(job)


async def is_lost(store, job):
    for _ in range(3):
        await store.lose_attempt(job)
        job = await store.claim("worker", [MODEL])


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (completes, JobStatus.COMPLETED),
        (fails, JobStatus.FAILED),
        (is_stopped, JobStatus.CANCELLED),
        (is_overdue, JobStatus.CANCELLED),
        (is_lost, JobStatus.FAILED),
    ],
)
async def test_however_a_job_ends_its_end_is_told_once(store, webhooks, end, status):
    job = await claimed(store)
    await store.heartbeat("worker", {job.id: (1, None)})
    await end(store, job)
    assert await told(webhooks, job) == [status]


async def test_a_job_that_is_cancelled_in_the_queue_is_told_of(store, webhooks):
    for cancel in (store.cancel, store.stop):
        job = await submitted(store)
        await cancel(job.id, OWNER_ID)
        assert await told(webhooks, job) == [JobStatus.CANCELLED]


async def test_the_way_there_is_told_to_whom_wants_it(store, webhooks):
    job = await claimed(store, intermediate=True)
    await store.release(job)
    job = await store.claim("worker", [MODEL])
    await completes(store, job)
    way = [JobStatus.IN_PROGRESS, JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS, JobStatus.COMPLETED]
    assert await told(webhooks, job) == way


async def test_nothing_is_written_for_a_job_without_a_webhook(store, webhooks):
    await store.add(new_job())
    await completes(store, await store.claim("worker", [MODEL]))
    assert await webhooks.log(OWNER_ID, 10) == []


# --- Delivering ---


async def test_events_of_a_job_come_one_after_the_other(store, webhooks, clocks):
    job = await claimed(store, intermediate=True)
    await completes(store, job)
    (first,) = await webhooks.due(4)
    assert first.status is JobStatus.IN_PROGRESS
    assert (first.url, first.base_url, first.attempts) == (URL, "https://images.example.org", 0)
    assert await webhooks.begin(first)
    assert await webhooks.due(4) == []
    assert await webhooks.finish(first, tried(first, 204, clocks.steady())) is EventState.DELIVERED
    (second,) = await webhooks.due(4)
    assert second.status is JobStatus.COMPLETED


async def test_one_of_many_takes_an_event(store, webhooks):
    await completes(store, await claimed(store))
    (event,) = await webhooks.due(4)
    taken = await asyncio.gather(*(webhooks.begin(event) for _ in range(8)))
    assert sorted(taken) == [False] * 7 + [True]


async def test_a_delivery_whose_process_died_is_due_again(store, webhooks, clocks):
    await completes(store, await claimed(store))
    (event,) = await webhooks.due(4)
    await webhooks.begin(event)
    clocks.elapsed_s += LEASE_S - 1
    assert await webhooks.due(4) == []
    clocks.elapsed_s += 2
    (again,) = await webhooks.due(4)
    assert (again.id, again.attempts) == (event.id, 1)


async def test_it_is_tried_for_a_day_ever_more_rarely_and_then_given_up(store, webhooks, clocks):
    job = await claimed(store, intermediate=True)
    await completes(store, job)
    steady = clocks.steady()
    for number, pause_s in enumerate((*BACKOFF_S, None)):
        (event,) = await webhooks.due(4)
        assert (event.status, event.attempts) == (JobStatus.IN_PROGRESS, number)
        assert await webhooks.begin(event)
        state = await webhooks.finish(event, Try(event.id, steady.now(), 500, 100))
        if pause_s is None:
            break
        assert state is EventState.PENDING
        clocks.elapsed_s += pause_s - 1
        assert await webhooks.due(4) == []
        clocks.elapsed_s += 1
    assert state is EventState.FAILED
    assert timedelta(hours=23) < timedelta(seconds=sum(BACKOFF_S)) <= timedelta(days=1)
    assert len(await webhooks.tries(event.id)) == len(BACKOFF_S) + 1
    (last,) = await webhooks.due(4)
    assert last.status is JobStatus.COMPLETED


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1)])
@pytest.mark.parametrize("sign", [1, -1])
async def test_a_server_with_another_clock_goes_on_where_the_last_one_was(
    store, database, webhooks, clocks, jump, sign
):
    """What waits for its retry is late by an hour at worst, and never lost."""
    await completes(store, await claimed(store))
    (event,) = await webhooks.due(4)
    await webhooks.begin(event)
    await webhooks.finish(event, Try(event.id, clocks.steady().now(), None, 100))
    clocks.wall_s += sign * jump.total_seconds()
    restarted = Webhooks(database, clocks.steady())
    clocks.elapsed_s += BACKOFF_S[0] + (3600 if jump == timedelta(hours=1) else 0)
    assert [again.id for again in await restarted.due(4)] == [event.id]


async def test_every_account_has_a_turn(store, webhooks, database):
    row = {"id": "neighbour", "email": "n@example.org", "unmetered": False}
    row["created_at"] = (await claimed(store)).created_at
    await database.write(lambda connection: connection.execute(accounts.insert().values(row)))
    for account_id in [OWNER_ID] * 6 + ["neighbour"] * 2:
        await fails(store, await claimed(store, account_id=account_id))
    turns = [event.account_id for event in await webhooks.due(4)]
    assert turns == [OWNER_ID, "neighbour"] * 2 + [OWNER_ID] * 2


async def test_what_was_delivered_is_delivered_again_when_that_is_asked_for(store, webhooks, clocks):
    await completes(store, await claimed(store))
    (event,) = await webhooks.due(4)
    await webhooks.begin(event)
    await webhooks.finish(event, tried(event, 200, clocks.steady()))
    assert await webhooks.due(4) == []
    assert not await webhooks.redeliver(event.id, "somebody else")
    assert await webhooks.redeliver(event.id, OWNER_ID)
    (again,) = await webhooks.due(4)
    assert (again.id, again.attempts, again.state) == (event.id, 0, EventState.PENDING)


async def test_the_log_forgets_what_ended_long_ago(store, webhooks, database, clocks):
    await completes(store, await claimed(store))
    await completes(store, await claimed(store))
    (done, pending) = await webhooks.due(4)
    await webhooks.begin(done)
    await webhooks.finish(done, tried(done, 200, clocks.steady()))
    clocks.wall_s = done.created_at.timestamp()
    now = Webhooks(database, clocks.steady())
    await now.forget()
    assert len(await now.log(OWNER_ID, 10)) == 2
    clocks.wall_s += EVENTS_LAST.total_seconds() + 60
    later = Webhooks(database, clocks.steady())
    await later.forget()
    assert [event.id for event in await later.log(OWNER_ID, 10)] == [pending.id]
    assert await later.tries(done.id) == []


async def test_an_erased_job_has_no_events(store, webhooks):
    job = await claimed(store)
    await completes(store, job)
    await store.erase(job.id, OWNER_ID)
    assert await webhooks.log(OWNER_ID, 10) == []
    assert await webhooks.due(4) == []


async def test_a_secret_stays_until_it_is_replaced(webhooks):
    first, *others = await asyncio.gather(*(webhooks.secret(OWNER_ID) for _ in range(8)))
    assert {other.secret for other in others} == {first.secret}
    assert first.secret.startswith("whsec_")
    assert len(first.secret) > 40
    second = await webhooks.rotate(OWNER_ID)
    assert second.secret != first.secret
    assert await webhooks.secret(OWNER_ID) == second
