from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from safelight.accounts.accounts import OWNER_ID
from safelight.db.database import Database
from safelight.db.tables import jobs
from safelight.errors import StorageFull, Unavailable
from safelight.jobs import MAX_ATTEMPTS, JobStatus
from safelight.queue.store import Store
from safelight.upkeep import maintenance
from safelight.upkeep.maintenance import LEASE_S, Maintenance
from tests.clocks import Clock
from tests.jobs import MODEL, NoWaker, new_job


@pytest.fixture
async def job(store):
    """A job that a worker runs."""
    await store.add(new_job())
    return await store.claim("worker", [MODEL])


async def status(store, job) -> JobStatus:
    return (await store.get(job.id, OWNER_ID)).status


async def test_a_lost_job_returns_to_the_queue(store, job, clock):
    keeper = Maintenance(store, clock)
    await keeper.tick()
    clock.now_s += LEASE_S - 0.1
    await keeper.tick()
    assert await status(store, job) is JobStatus.IN_PROGRESS
    clock.now_s += 0.1
    await keeper.tick()
    assert await status(store, job) is JobStatus.IN_QUEUE


async def test_a_heartbeat_renews_the_lease(store, job, clock):
    keeper = Maintenance(store, clock)
    for _ in range(5):
        await keeper.tick()
        clock.now_s += LEASE_S - 0.1
        await store.heartbeat("worker", {job.id: (1, None)})
    await keeper.tick()
    assert await status(store, job) is JobStatus.IN_PROGRESS


async def test_a_lease_starts_when_maintenance_first_sees_it(store, job, clock):
    clock.now_s += 10 * LEASE_S
    keeper = Maintenance(store, clock)
    await keeper.tick()
    clock.now_s += LEASE_S / 2
    await keeper.tick()
    assert await status(store, job) is JobStatus.IN_PROGRESS


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1)])
@pytest.mark.parametrize("sign", [1, -1])
async def test_a_jump_of_the_wall_clock_expires_nothing(store, database, job, clock, jump, sign):
    keeper = Maintenance(store, clock)
    await keeper.tick()
    moved = {"heartbeat_at": datetime.now(UTC) + sign * jump, "started_at": datetime.now(UTC) + sign * jump}
    await database.write(lambda connection: connection.execute(sa.update(jobs).values(moved)))
    clock.now_s += LEASE_S / 2
    await keeper.tick()
    assert await status(store, job) is JobStatus.IN_PROGRESS


async def test_a_job_claimed_again_has_a_lease_of_its_own(store, job, clock):
    keeper = Maintenance(store, clock)
    await keeper.tick()
    clock.now_s += LEASE_S - 1
    await store.release(job)
    again = await store.claim("worker", [MODEL])
    clock.now_s += 2
    await keeper.tick()
    assert await status(store, again) is JobStatus.IN_PROGRESS


async def test_a_job_that_loses_every_worker_fails(store, job, clock):
    keeper = Maintenance(store, clock)
    for _ in range(MAX_ATTEMPTS):
        await keeper.tick()
        clock.now_s += LEASE_S
        await keeper.tick()
        await store.claim("worker", [MODEL])
    ended = await store.get(job.id, OWNER_ID)
    assert (ended.status, ended.attempt) == (JobStatus.FAILED, MAX_ATTEMPTS)
    assert ended.error.code == "worker_lost"


async def test_two_keepers_spend_one_attempt(store, database_url, job, clock):
    other = await Database.open(database_url)
    keepers = [Maintenance(store, clock), Maintenance(Store(other, NoWaker()), clock)]
    await asyncio.gather(*(keeper.tick() for keeper in keepers))
    clock.now_s += LEASE_S
    await asyncio.gather(*(keeper.tick() for keeper in keepers))
    again = await store.claim("worker", [MODEL])
    assert (again.id, again.attempt) == (job.id, 2)
    await other.close()


async def test_what_has_ended_is_forgotten(store, job, clock):
    keeper = Maintenance(store, clock)
    await keeper.tick()
    await store.release(job)
    await keeper.tick()
    assert keeper._since == {}


class Flaky:
    """A store whose database is away at first."""

    def __init__(self, stop: asyncio.Event, trouble: type[Exception]) -> None:
        self.calls = 0
        self._stop = stop
        self._trouble = trouble

    async def in_progress(self) -> list[tuple[str, int, int]]:
        self.calls += 1
        if self.calls == 1:
            raise self._trouble
        self._stop.set()
        return []


@pytest.mark.parametrize("trouble", [Unavailable, StorageFull])
async def test_it_runs_until_it_is_told_to_stop_and_outlives_an_outage(monkeypatch, trouble):
    monkeypatch.setattr(maintenance, "TICK_S", 0.001)
    stop = asyncio.Event()
    store = Flaky(stop, trouble)
    async with asyncio.timeout(5):
        await Maintenance(store, Clock()).run(stop)
    assert store.calls == 2
