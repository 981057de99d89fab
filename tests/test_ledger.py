"""Credits: held, charged, released and waived, each once and with the job's own transition."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa

from safelight.accounts.accounts import OWNER_ID, Accounts
from safelight.callers import Caller
from safelight.credits.ledger import Balance, Ledger
from safelight.credits.terms import terms_of
from safelight.db.database import Database
from safelight.errors import InsufficientCredits, NotFound
from safelight.jobs import MAX_ATTEMPTS, JobError, JobStatus, Output, Report
from safelight.prices import Rate, Unit
from safelight.queue.store import Store
from tests.jobs import MODEL, NoWaker, new_file, new_job
from tests.money import COST, account_with, submit, tamper

REPORT = Report(seed=1, weights="nano", timings={"generate": 2.5})
ERROR = JobError("corrupt_image", "The image is damaged or cut off.")


@pytest.fixture
def ledger(database) -> Ledger:
    return Ledger(database)


@pytest.fixture
async def payer(database):
    """An account with credits for four jobs."""
    return await account_with(database, 4 * COST)


async def kinds_of(ledger, account_id, job=None):
    entries = await ledger.entries(account_id, 500)
    return [entry.kind for entry in reversed(entries) if job is None or entry.job_id == job.id]


async def balance_of(ledger, account) -> tuple[Decimal, Decimal]:
    balance = await ledger.balance(account.id)
    return balance.free / COST, balance.held / COST


async def claim(store):
    job = await store.claim("worker", [MODEL])
    assert job
    return job


async def test_a_completed_job_is_held_for_and_charged_once(store, ledger, payer):
    job = await submit(store, payer)
    assert await balance_of(ledger, payer) == (3, 1)
    claimed = await claim(store)
    assert await store.complete(claimed, [], [], REPORT)
    assert not await store.complete(claimed, [], [], REPORT)
    assert await balance_of(ledger, payer) == (3, 0)
    assert await kinds_of(ledger, payer.id, job) == ["hold", "charge"]
    assert (await store.get(job.id, payer.id)).cost == COST


async def test_a_job_that_came_to_nothing_costs_nothing(store, ledger, payer):
    cancelled = await submit(store, payer)
    for _ in range(2):
        assert (await store.cancel(cancelled.id, payer.id)).status is JobStatus.CANCELLED
    failed = await submit(store, payer)
    claimed = await claim(store)
    assert await store.fail(claimed, ERROR)
    assert not await store.fail(claimed, ERROR)
    assert await balance_of(ledger, payer) == (4, 0)
    for job in (cancelled, failed):
        assert await kinds_of(ledger, payer.id, job) == ["hold", "release"]
        assert (await store.get(job.id, payer.id)).cost == 0


@pytest.mark.parametrize("is_silent", [True, False])
async def test_a_lost_job_keeps_its_hold_until_its_last_attempt(store, ledger, payer, is_silent):
    job = await submit(store, payer)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert await balance_of(ledger, payer) == (3, 1)
        claimed = await claim(store)
        if attempt == 1:
            assert await store.release(claimed)
            claimed = await claim(store)
        if is_silent:
            await store.requeue_lost(*(await store.in_progress())[0])
        else:
            await store.lose_attempt(claimed)
    assert (await store.get(job.id, payer.id)).status is JobStatus.FAILED
    assert await balance_of(ledger, payer) == (4, 0)
    assert await kinds_of(ledger, payer.id, job) == ["hold", "release"]


@pytest.mark.parametrize("by_deadline", [False, True])
@pytest.mark.parametrize("report", ["queued", "complete", "fail", "release", "lose_attempt", "requeue_lost"])
async def test_a_job_that_is_stopped_or_overdue_costs_nothing(store, ledger, payer, report, by_deadline):
    job = await submit(store, payer)
    claimed = None if report == "queued" else await claim(store)
    for _ in range(2):
        if by_deadline:
            await store.overdue(job.id)
        else:
            await store.stop(job.id, payer.id)
    if report == "complete":
        assert not await store.complete(claimed, [], [], REPORT)
    elif report == "fail":
        assert await store.fail(claimed, ERROR)
    elif report == "lose_attempt":
        await store.lose_attempt(claimed)
    elif report == "requeue_lost":
        await store.requeue_lost(*(await store.in_progress())[0])
    if report in {"complete", "release"}:
        assert await balance_of(ledger, payer) == (3, 1)
        assert await store.release(claimed)
    ended = await store.get(job.id, payer.id)
    assert (ended.status, ended.cost) == (JobStatus.CANCELLED, 0)
    assert await balance_of(ledger, payer) == (4, 0)
    assert await kinds_of(ledger, payer.id, job) == ["hold", "release"]


async def test_an_erased_job_keeps_its_entries(store, ledger, payer):
    job = await submit(store, payer)
    assert await store.complete(await claim(store), [], [], REPORT)
    assert await store.erase(job.id, payer.id) == []
    assert await kinds_of(ledger, payer.id, job) == ["hold", "charge"]
    assert await balance_of(ledger, payer) == (3, 0)


async def test_the_owners_use_is_computed_and_waived(store, ledger):
    completed = new_job(cost=COST)
    await store.add(completed)
    assert await store.complete(await claim(store), [], [], REPORT)
    failed = new_job(cost=COST)
    await store.add(failed)
    assert await store.fail(await claim(store), ERROR)
    assert await kinds_of(ledger, OWNER_ID) == ["waiver"]
    assert await ledger.balance(OWNER_ID) == Balance()
    assert (await store.get(completed.id, OWNER_ID)).cost == COST


async def test_what_is_free_is_not_in_the_ledger(store, ledger, payer):
    await submit(store, payer, cost=Decimal(0))
    assert await store.complete(await claim(store), [], [], REPORT)
    assert await kinds_of(ledger, payer.id) == ["grant"]


@pytest.mark.parametrize(
    ("rate", "due"),
    [
        (Rate(Decimal("0.001"), Unit.SECOND, Decimal("0.0025")), Decimal("0.005")),
        (Rate(Decimal("0.5"), Unit.SECOND, Decimal(0)), COST),
        (Rate(Decimal("0.01"), Unit.MEGAPIXEL, Decimal(0)), Decimal("0.007864")),
        (Rate(Decimal("0.001"), Unit.OUTPUT, Decimal(0)), Decimal("0.001")),
    ],
)
async def test_where_the_outcome_decides_the_rest_is_released(store, ledger, payer, rate, due):
    job = await submit(store, payer, rate=rate)
    claimed = await claim(store)
    assert claimed == replace(await store.get(job.id, payer.id))
    assert claimed.rate == rate
    file = new_file(account_id=payer.id, job_id=job.id)
    shown = Output(file.id, "image/png", 1024, 768, file.size_bytes)
    assert await store.complete(claimed, [file], [shown], REPORT)
    assert (await store.get(job.id, payer.id)).cost == due
    assert await ledger.balance(payer.id) == Balance(4 * COST - due)
    assert await kinds_of(ledger, payer.id, job) == ["hold", "charge"] + ["release"] * (due != COST)


async def test_without_credits_nothing_is_accepted(store, ledger, database):
    poor = await account_with(database, COST - Decimal("0.000001"))
    file = new_file(account_id=poor.id)
    job = new_job(account_id=poor.id, cost=COST)
    with pytest.raises(InsufficientCredits, match=r"up to 0\.0125 credits"):
        await store.add(job, [file], terms_of(Caller(poor), job))
    assert await store.get(job.id, poor.id) is None
    assert await store.file(file.id) is None
    assert await kinds_of(ledger, poor.id) == ["grant"]
    penniless = await account_with(database, 0)
    with pytest.raises(InsufficientCredits):
        await submit(store, penniless)


async def test_of_a_hundred_submissions_at_once_with_credits_for_one_one_is_accepted(database_url, database):
    account = await account_with(database, COST)
    others = [await Database.open(database_url) for _ in range(3)]
    stores = [Store(opened, NoWaker()) for opened in (database, *others)]
    tries = [submit(stores[n % 4], account) for n in range(100)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    for opened in others:
        await opened.close()
    refused = [outcome for outcome in outcomes if isinstance(outcome, InsufficientCredits)]
    assert len(refused) == 99
    assert await Ledger(database).balance(account.id) == Balance(Decimal(0), COST)


# --- Grants and what the owner sees ---


async def test_credits_are_given_and_taken_back_as_far_as_they_are_free(ledger, store, database):
    account = await account_with(database, "1")
    await submit(store, account, cost=Decimal("0.75"))
    with pytest.raises(InsufficientCredits):
        await ledger.grant(account.id, Decimal("-0.26"))
    taken = await ledger.grant(account.id, Decimal("-0.25"), "a correction")
    assert (taken.kind, taken.amount, taken.change) == ("withdrawal", Decimal("0.25"), Decimal("-0.25"))
    assert await ledger.balance(account.id) == Balance(Decimal(0), Decimal("0.75"))
    with pytest.raises(NotFound):
        await ledger.grant("nobody", Decimal(1))


async def test_the_ledger_is_read_in_pages_the_newest_first(ledger, payer):
    for note in "abc":
        await ledger.grant(payer.id, Decimal(1), note)
    first = await ledger.entries(payer.id, 2)
    rest = await ledger.entries(payer.id, 2, before=first[-1].seq)
    assert [entry.note for entry in first + rest] == ["c", "b", "a", ""]


async def test_every_account_has_its_own_balance(ledger, database):
    first, second = await account_with(database, "1"), await account_with(database, "2.000001")
    nothing = await Accounts(database).create("c@d")
    found = await ledger.balances()
    assert found == {first.id: Balance(Decimal(1)), second.id: Balance(Decimal("2.000001"))}
    assert await ledger.balance(nothing.id) == Balance()


# --- What the database itself refuses ---


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET amount = 1",
        "DELETE FROM ledger",
        "UPDATE balances SET free = -1",
        "INSERT INTO ledger (account_id, kind, source, target, amount, created_at) "
        "SELECT account_id, 'grant', 'granted', 'free', 0, created_at FROM ledger",
        "INSERT INTO ledger (account_id, kind, source, target, amount, created_at) "
        "SELECT account_id, 'grant', 'waived', 'free', 1, created_at FROM ledger",
        "INSERT INTO ledger (account_id, kind, source, target, amount, created_at) "
        "SELECT account_id, 'withdrawal', 'free', 'granted', amount + 1, created_at FROM ledger",
    ],
)
async def test_the_books_cannot_be_cooked(database, ledger, statement):
    account = await account_with(database, "1")
    with pytest.raises(sa.exc.IntegrityError):
        await tamper(database, statement)
    assert await ledger.balance(account.id) == Balance(Decimal(1))


async def test_a_job_has_one_entry_of_a_kind(database, store, payer):
    await submit(store, payer)
    again = (
        "INSERT INTO ledger (account_id, job_id, kind, source, target, amount, created_at) "
        "SELECT account_id, job_id, kind, source, target, amount, created_at FROM ledger WHERE kind = 'hold'"
    )
    is_sqlite = type(database).__name__ == "SqliteDatabase"
    for verb in ("INSERT", "INSERT OR REPLACE") if is_sqlite else ("INSERT",):
        with pytest.raises(sa.exc.IntegrityError):
            await tamper(database, again.replace("INSERT", verb, 1))
