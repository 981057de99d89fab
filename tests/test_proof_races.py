"""Cancel against claim: of both at once exactly one wins, and whoever pays, pays for what was made."""

from __future__ import annotations

import asyncio
import random
from operator import itemgetter

import pytest

from safelight.credits.ledger import Balance, Ledger
from safelight.db.database import Database
from safelight.jobs import JobStatus, Report
from safelight.queue.store import Store
from tests.jobs import MODEL, NoWaker
from tests.money import COST, account_with, submit
from tests.proofs import count

REPORT = Report(seed=1, weights="nano", timings={})
RACES = count(60, 5000)

pytestmark = pytest.mark.proof


@pytest.fixture
async def sides(database_url, database):
    """The queue as two processes have it open: the one that cancels, and the one that claims."""
    other = await Database.open(database_url)
    yield Store(database, NoWaker()), Store(other, NoWaker())
    await other.close()


async def test_of_a_cancel_and_a_claim_at_once_one_wins(database, sides):
    api, worker = sides
    chance = random.Random(4)
    payer = await account_with(database, RACES * COST)
    won = {JobStatus.CANCELLED: 0, JobStatus.COMPLETED: 0}
    for _ in range(RACES):
        job = await submit(api, payer)
        tries = [after(chance, api.cancel(job.id, payer.id)), after(chance, worker.claim("worker", [MODEL]))]
        cancelled, claimed = await asyncio.gather(*tries)
        assert (cancelled.status is JobStatus.CANCELLED) == (claimed is None)
        if claimed:
            assert cancelled.status is JobStatus.IN_PROGRESS
            assert await worker.complete(claimed, [], [], REPORT)
        final = (await api.get(job.id, payer.id)).status
        assert final is (JobStatus.COMPLETED if claimed else JobStatus.CANCELLED)
        won[final] += 1
    assert min(won.values()) > 0  # It was a race.
    paid = COST * won[JobStatus.COMPLETED]
    assert await Ledger(database).balance(payer.id) == Balance(RACES * COST - paid)


async def after(chance, work):
    """Begin a moment later, or at once: a few turns of the event loop."""
    for _ in range(chance.randrange(3)):
        await asyncio.sleep(0)
    return await work


async def test_a_hundred_workers_claim_every_job_once_while_all_are_cancelled(database, sides):
    api, worker = sides
    chance, rounds = random.Random(4), count(1, 50)
    payer = await account_with(database, rounds * 50 * COST)
    for _ in range(rounds):
        jobs = [await submit(api, payer) for _ in range(50)]
        claims = [worker.claim(f"worker-{n}", [MODEL]) for n in range(100)]
        cancels = [api.cancel(job.id, payer.id) for job in jobs]
        mixed = chance.sample([*enumerate(claims), *enumerate(cancels, 100)], 150)
        outcomes = await asyncio.gather(*(work for _, work in mixed))
        numbers = [number for number, _ in mixed]
        found = [job for _, job in sorted(zip(numbers, outcomes, strict=True), key=itemgetter(0))]
        claimed = [job.id for job in found[:100] if job]
        cancelled = [job.id for job in found[100:] if job.status is JobStatus.CANCELLED]
        assert len(set(claimed)) == len(claimed)
        assert sorted(claimed + cancelled) == sorted(job.id for job in jobs)
        await asyncio.gather(*(worker.complete(job, [], [], REPORT) for job in found[:100] if job))
    assert (await Ledger(database).balance(payer.id)).held == 0
