"""What an account and a key may have queued, running and spend in a month, also when all comes at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from safelight.accounts.accounts import OWNER_ID, Accounts
from safelight.accounts.keys import Keys, NewKey
from safelight.callers import NO_LIMITS, Account, Caller, Limits
from safelight.credits.terms import terms_of
from safelight.db.database import Database
from safelight.db.tables import jobs
from safelight.errors import InsufficientCredits, RateLimited
from safelight.jobs import JobError, Report
from safelight.queue.store import Store
from tests.jobs import MODEL, NoWaker, new_job

REPORT = Report(seed=1, weights="nano", timings={})
ERROR = JobError("corrupt_image", "The image is damaged or cut off.")


async def caller_with(
    database: Database, of_account: Limits = NO_LIMITS, of_key: Limits = NO_LIMITS
) -> Caller:
    account = await Accounts(database).create("a@b", of_account, unmetered=True)
    _, token = await Keys(database).create(account.id, NewKey("first", limits=of_key))
    return await Keys(database).authenticate(token)


async def submit(store: Store, caller: Caller, **changes: object):
    job = new_job(account_id=caller.account.id, key_id=caller.key_id, **changes)
    await store.add(job, terms=terms_of(caller, job))
    return job


@pytest.fixture
async def stores(database_url, database):
    """The queue as four processes have it open."""
    others = [await Database.open(database_url) for _ in range(3)]
    yield [Store(opened, NoWaker()) for opened in (database, *others)]
    for opened in others:
        await opened.close()


@pytest.mark.parametrize("of_key", [False, True])
async def test_no_more_are_queued_than_allowed_also_at_once(database, stores, of_key):
    limits = Limits(queued_jobs=5)
    caller = await (caller_with(database, of_key=limits) if of_key else caller_with(database, limits))
    tries = [submit(stores[n % 4], caller) for n in range(20)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, RateLimited)]
    assert len(refused) == 15
    assert f"This {'key' if of_key else 'account'} may have 5 requests in the queue" in refused[0].message
    assert refused[0].retry_after_s
    with pytest.raises(RateLimited):
        await submit(stores[0], caller)
    assert await stores[0].claim("worker", [MODEL])
    await submit(stores[0], caller)


async def test_another_key_has_room_of_its_own(database, store):
    caller = await caller_with(database, Limits(queued_jobs=3), Limits(queued_jobs=1))
    other = Caller(caller.account, "another")
    await submit(store, caller)
    with pytest.raises(RateLimited, match="This key"):
        await submit(store, caller)
    await submit(store, other)
    await submit(store, other)
    with pytest.raises(RateLimited, match="This account"):
        await submit(store, other)


@pytest.mark.parametrize("of_key", [False, True])
async def test_no_more_run_than_allowed_also_when_all_claim_at_once(database, stores, of_key):
    limits = Limits(running_jobs=2)
    caller = await (caller_with(database, of_key=limits) if of_key else caller_with(database, limits))
    for _ in range(16):
        await submit(stores[0], caller)
    for _ in range(3):
        claims = [stores[n % 4].claim(f"w{n}", [MODEL]) for n in range(8)]
        claimed = [job for job in await asyncio.gather(*claims) if job]
        assert len(claimed) == 2
        for job in claimed:
            assert await stores[0].complete(job, [], [], REPORT)


async def test_who_is_at_the_limit_is_passed_over(database, store):
    caller = await caller_with(database, Limits(running_jobs=1))
    for _ in range(3):
        await submit(store, caller)
    others = [new_job() for _ in range(2)]
    for job in others:
        await store.add(job)
    taken = [await store.claim("worker", [MODEL]) for _ in range(3)]
    assert sorted(job.account_id for job in taken) == sorted([caller.account.id, OWNER_ID, OWNER_ID])
    assert await store.claim("worker", [MODEL]) is None
    mine = next(job for job in taken if job.account_id == caller.account.id)
    assert await store.release(mine)
    again = await store.claim("worker", [MODEL])
    assert again.id == mine.id


async def test_another_limit_holds_for_the_next_claim(database, store):
    caller = await caller_with(database, Limits(running_jobs=1))
    for _ in range(3):
        await submit(store, caller)
    assert await store.claim("worker", [MODEL])
    assert await store.claim("worker", [MODEL]) is None
    await Accounts(database).set_limits(caller.account.id, Limits(running_jobs=2))
    assert await store.claim("worker", [MODEL])
    assert await store.claim("worker", [MODEL]) is None


class CountingWaker(NoWaker):
    woken = 0

    async def notify(self) -> None:
        self.woken += 1


@pytest.mark.parametrize("is_limited", [True, False])
async def test_the_end_of_a_job_wakes_who_waited_for_its_account(database, is_limited):
    waker = CountingWaker()
    store = Store(database, waker)
    caller = await caller_with(database, Limits(running_jobs=1 if is_limited else None))
    ends = (
        lambda job: store.complete(job, [], [], REPORT),
        lambda job: store.fail(job, ERROR),
    )
    for end in ends:
        await submit(store, caller)
        job = await store.claim("worker", [MODEL])
        before = waker.woken
        assert await end(job)
        assert waker.woken == before + is_limited


async def test_a_month_has_its_credits(database, store):
    caller = await caller_with(database, of_key=Limits(monthly_credits=Decimal("0.03")))
    cost = Decimal("0.01")
    first = await submit(store, caller, cost=cost)
    await submit(store, caller, cost=cost)
    await submit(store, caller, cost=cost)
    with pytest.raises(InsufficientCredits, match=r"This key may spend 0\.03 credits in a calendar month"):
        await submit(store, caller, cost=Decimal("0.000001"))
    await submit(store, caller, cost=Decimal(0))
    await store.cancel(first.id, caller.account.id)
    await submit(store, caller, cost=cost)
    with pytest.raises(InsufficientCredits):
        await submit(store, caller, cost=cost)
    await submit(store, Caller(caller.account, "another"), cost=cost)
    await database.write(lambda connection: connection.execute(EARLIER))
    await submit(store, caller, cost=cost)


EARLIER = (
    sa.update(jobs)
    .where(jobs.c.finished_at.is_(None))
    .values(created_at=datetime.now(UTC).replace(day=1) - timedelta(days=2))
)


def test_the_limits_of_nobody_cost_no_statement():
    account = Account("a", "a@b", unmetered=True)
    assert terms_of(Caller(account), new_job(cost=Decimal(1))) == []
