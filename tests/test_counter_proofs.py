"""A proof that cannot fail proves nothing: with its guard taken out, each of these is red."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy import bindparam

from safelight.accounts.accounts import Accounts
from safelight.credits import statements as money
from safelight.credits import terms
from safelight.credits.ledger import Ledger
from safelight.db.database import Database
from safelight.db.statements import Call, Statement
from safelight.db.tables import UNFINISHED, accounts, jobs
from safelight.queue import queries, store
from safelight.queue.store import Store
from tests import test_api_isolation as isolation
from tests import test_ledger as books
from tests import test_proof_races as races
from tests.jobs import NoWaker
from tests.money import COST, account_with, tamper

server, tenants, sides = isolation.server, isolation.tenants, races.sides
NOTHING = Statement(sa.select(accounts.c.id).where(sa.false()))
_this = jobs.c.id == bindparam("job")


@pytest.fixture
def database_url(sqlite_url):
    """The guards are the same expressions for both databases."""
    return sqlite_url


@pytest.fixture
async def database(database_url):
    """A database whose books may be wrong at the end."""
    opened = await Database.open(database_url)
    await Accounts(opened).ensure_owner("k" * 32)
    yield opened
    await opened.close()


@pytest.fixture
def queue(database):
    return Store(database, NoWaker())


async def test_3_a_hold_that_asks_for_no_balance(database_url, database, monkeypatch):
    blind = money._insert(
        sa.select(
            *(bindparam(name, type_=sa.Text) for name in ("account", "job")),
            *money._words("hold"),
            money._amount,
            money._now,
        )
    )
    monkeypatch.setattr(money, "HOLD", blind)
    await tamper(database, "PRAGMA ignore_check_constraints = ON")
    with pytest.raises(AssertionError):
        await books.test_of_a_hundred_submissions_at_once_with_credits_for_one_one_is_accepted(
            database_url, database
        )
    assert "less than nothing was free" in "".join(await Ledger(database).audit())


async def test_3_a_submission_that_holds_nothing(database, queue, monkeypatch):
    monkeypatch.setattr(terms, "hold", lambda job: Call(NOTHING, {}))
    payer = await account_with(database, 4 * COST)
    with pytest.raises(AssertionError):
        await books.test_a_completed_job_is_held_for_and_charged_once(queue, Ledger(database), payer)
    assert await Ledger(database).audit()


async def test_3_an_end_that_settles_nothing(database, queue, monkeypatch):
    monkeypatch.setattr(store, "settle", lambda job_id: Call(NOTHING, {}))
    payer = await account_with(database, 4 * COST)
    for proof in (
        books.test_a_completed_job_is_held_for_and_charged_once,
        books.test_a_job_that_came_to_nothing_costs_nothing,
    ):
        with pytest.raises(AssertionError):
            await proof(queue, Ledger(database), payer)
    assert await Ledger(database).audit()


async def test_4_a_cancel_that_does_not_ask_for_the_state(database, sides, monkeypatch):
    always = sa.update(jobs).where(_this, UNFINISHED).values(**_CANCELLED).returning(jobs)
    monkeypatch.setattr(queries, "CANCEL", Statement(always))
    with pytest.raises(AssertionError):
        await races.test_of_a_cancel_and_a_claim_at_once_one_wins(database, sides)


_CANCELLED = {"status": "cancelled", "cost": queries._FREE, "finished_at": queries._now}


def test_15_a_read_that_does_not_ask_whose_it_is(server, tenants, monkeypatch):
    monkeypatch.setattr(queries, "GET", Statement(sa.select(jobs).where(_this)))
    with pytest.raises(AssertionError):
        isolation.test_whatever_one_account_has_is_not_there_for_the_other(server, tenants)
