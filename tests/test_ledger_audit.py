"""The audit sees what it is there for: with a guard taken out and the books cooked, it says so."""

from __future__ import annotations

import pytest

from safelight.accounts.accounts import Accounts
from safelight.credits.audit import JOBS_AT_A_TIME, MAX_FINDINGS
from safelight.credits.ledger import Ledger
from safelight.db.database import Database
from safelight.jobs import Report
from safelight.queue.store import Store
from tests.jobs import MODEL, NoWaker, new_job
from tests.money import COST, account_with, drop_trigger, submit, tamper

REPORT = Report(seed=1, weights="nano", timings={})
INSERT = "INSERT INTO ledger (account_id, job_id, kind, source, target, amount, created_at)"
ENTRY = f"{INSERT} SELECT account_id, id"


@pytest.fixture
async def cooked(database_url):
    """A database whose books may be wrong at the end."""
    opened = await Database.open(database_url)
    await Accounts(opened).ensure_owner("k" * 32)
    yield opened
    await opened.close()


@pytest.fixture
async def books(cooked):
    """One completed job, one cancelled, one under way; four jobs' credits were granted."""
    store, account = Store(cooked, NoWaker()), await account_with(cooked, 4 * COST)
    await submit(store, account)
    await store.complete(await store.claim("worker", [MODEL]), [], [], REPORT)
    cancelled = await submit(store, account)
    await store.cancel(cancelled.id, account.id)
    await submit(store, account)
    assert await Ledger(cooked).audit() == []
    return Ledger(cooked)


async def findings_after(books, cooked, *statements):
    await tamper(cooked, *statements)
    return "\n".join(await books.audit())


async def test_a_balance_that_is_not_the_sum(books, cooked):
    found = await findings_after(books, cooked, "UPDATE balances SET free = free + 1000000")
    assert "the entries make -1 free and 0 held more than the balance says" in found


async def test_an_amount_that_was_changed(books, cooked):
    await unlock(cooked)
    found = await findings_after(books, cooked, "UPDATE ledger SET amount = 1 WHERE kind = 'charge'")
    assert "job " in found
    assert "held were 0.0125, charged 0.000001, released 0" in found
    assert "costs 0.0125, charged or waived were 0.000001" in found


async def test_a_settlement_that_is_missing(books, cooked):
    await unlock(cooked)
    found = await findings_after(books, cooked, "DELETE FROM ledger WHERE kind = 'release'")
    assert "(cancelled): held were 0.0125, charged 0, released 0" in found


async def test_a_hold_that_is_missing(books, cooked):
    await unlock(cooked)
    gone = "DELETE FROM ledger WHERE kind = 'hold' AND seq = (SELECT max(seq) FROM ledger)"
    assert "(in_queue): costs 0.0125, held are 0" in await findings_after(books, cooked, gone)


async def test_a_job_that_is_settled_before_its_end(books, cooked):
    early = f"{ENTRY}, 'charge', 'held', 'charged', cost, created_at FROM jobs WHERE status = 'in_queue'"
    assert "(in_queue): is settled before its end" in await findings_after(books, cooked, early)


async def test_a_failure_that_was_charged(books, cooked):
    charge = f"{ENTRY}, 'charge', 'held', 'charged', 5, created_at FROM jobs WHERE status = 'cancelled'"
    assert "(cancelled): was charged 0.000005 for nothing" in await findings_after(books, cooked, charge)


@pytest.mark.parametrize("seq", [JOBS_AT_A_TIME, JOBS_AT_A_TIME + 1, 3 * JOBS_AT_A_TIME + 7])
async def test_a_wrong_job_among_many(books, cooked, seq):
    is_sqlite = type(cooked).__name__ == "SqliteDatabase"
    await tamper(
        cooked,
        f"UPDATE sqlite_sequence SET seq = {seq - 1} WHERE name = 'jobs'"
        if is_sqlite
        else f"ALTER TABLE jobs ALTER COLUMN seq RESTART WITH {seq}",
    )
    job = new_job(account_id=(await account_with(cooked, 1)).id, cost=COST)
    await Store(cooked, NoWaker()).add(job)  # Without the terms that would hold its cost.
    assert await books.audit() == [f"job {job.id} (in_queue): costs 0.0125, held are 0"]


async def test_so_much_is_wrong_that_not_all_is_told(books, cooked):
    store = Store(cooked, NoWaker())
    poor = await account_with(cooked, 0)
    for _ in range(MAX_FINDINGS + 1):
        await store.add(new_job(account_id=poor.id, cost=COST))
    assert len(await books.audit()) == MAX_FINDINGS


async def test_a_charge_that_came_twice(books, cooked):
    if type(cooked).__name__ == "SqliteDatabase":  # It cannot drop a constraint, but a copy has none.
        without = ("ALTER TABLE ledger RENAME TO kept", "CREATE TABLE ledger AS SELECT * FROM kept")
    else:
        without = ("ALTER TABLE ledger DROP CONSTRAINT ledger_once",)
    twice = f"{ENTRY}, 'charge', 'held', 'charged', cost, created_at FROM jobs WHERE status = 'completed'"
    found = await findings_after(books, cooked, *without, twice)
    assert "(completed): has two entries of one kind" in found


async def test_another_accounts_entry(books, cooked):
    values = "'owner', id, 'waiver', 'waived', 'charged', 7, created_at"
    strange = f"{INSERT} SELECT {values} FROM jobs WHERE status = 'cancelled'"
    assert "has an entry of another account" in await findings_after(books, cooked, strange)


async def test_a_book_that_was_below_zero(books, cooked):
    await drop_trigger(cooked, "ledger_moves_balances", "ledger")
    spent = (
        "INSERT INTO ledger (account_id, kind, source, target, amount, created_at) "
        "SELECT account_id, 'withdrawal', 'free', 'granted', 90000000, created_at FROM jobs LIMIT 1"
    )
    assert "less than nothing was free or held after entry" in await findings_after(books, cooked, spent)


async def unlock(cooked):
    """Take out what keeps the ledger as it is."""
    is_sqlite = type(cooked).__name__ == "SqliteDatabase"
    for name in ("ledger_no_update", "ledger_no_delete") if is_sqlite else ("ledger_no_change",):
        await drop_trigger(cooked, name, "ledger")
