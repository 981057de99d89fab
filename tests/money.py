"""Accounts with credits, and jobs that cost something, for tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from safelight.accounts.accounts import Accounts
from safelight.callers import Account, Caller
from safelight.credits.ledger import Ledger
from safelight.credits.terms import terms_of
from safelight.db.database import Database
from safelight.jobs import Job
from safelight.queue.store import Store
from tests.jobs import new_job

COST = Decimal("0.0125")


async def account_with(database: Database, credits: Decimal | str) -> Account:
    """A metered account with so many credits."""
    account = await Accounts(database).create("payer@example.org")
    if Decimal(credits):
        await Ledger(database).grant(account.id, Decimal(credits))
    return account


async def submit(store: Store, account: Account, **changes: Any) -> Job:
    """Submit a job of an account on its terms; it costs COST. Raises what the terms refuse."""
    job = new_job(account_id=account.id, **{"cost": COST, **changes})
    await store.add(job, terms=terms_of(Caller(account), job))
    return job


async def tamper(database: Database, *statements: str) -> None:
    """Do to a database what nothing in Safelight does."""

    def work(connection: sa.Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    await database.write(work)


async def drop_trigger(database: Database, name: str, table: str) -> None:
    """Take a guard out of the database."""
    on = "" if type(database).__name__ == "SqliteDatabase" else f" ON {table}"
    await tamper(database, f"DROP TRIGGER {name}{on}")
