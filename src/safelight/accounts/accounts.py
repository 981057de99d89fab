"""Accounts: who may use this server, and how much."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from safelight.accounts.keys import NewKey, key_row
from safelight.callers import NO_LIMITS, Account, Limits
from safelight.db.database import Database
from safelight.db.tables import accounts, api_keys
from safelight.errors import NotFound
from safelight.jobs import Json, new_id
from safelight.texts import Text

OWNER_ID = "owner"
OWNER_EMAIL = "owner@localhost"
FIRST_KEY = NewKey("first key")


class Accounts:
    """Accounts in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def has_owner(self) -> bool:
        """Whether the owner's account is there."""
        owner = sa.select(accounts.c.id).where(accounts.c.id == OWNER_ID)
        return await self._database.read(lambda connection: connection.execute(owner).first() is not None)

    async def ensure_owner(self, key: str) -> None:
        """Create the owner's account unless it is there, and let `key` in."""
        await self._database.write(lambda connection: _ensure_owner(connection, key))

    async def create(self, email: str, limits: Limits = NO_LIMITS, *, unmetered: bool = False) -> Account:
        """Make an account. It has no key yet and no credits."""
        account = Account(new_id(), email, unmetered, limits)
        row = _row_of(account)
        await self._database.write(lambda connection: connection.execute(sa.insert(accounts), row).close())
        return account

    async def all(self) -> list[Account]:
        """Every account, the oldest first."""
        query = sa.select(accounts).order_by(accounts.c.created_at, accounts.c.id)
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [_account_of(row) for row in rows]

    async def get(self, account_id: str) -> Account:
        """One account. Raises NotFound."""
        query = sa.select(accounts).where(accounts.c.id == account_id)
        row = await self._database.read(lambda connection: connection.execute(query).mappings().first())
        return _found(row)

    async def set_limits(self, account_id: str, limits: Limits) -> Account:
        """Give an account other limits. Raises NotFound."""
        this = sa.update(accounts).where(accounts.c.id == account_id)
        changed = this.values(asdict(limits)).returning(accounts)
        row = await self._database.write(lambda connection: connection.execute(changed).mappings().first())
        return _found(row)


def _found(row: Any | None) -> Account:
    if row is None:
        raise NotFound(Text("There is no such account.", "그런 계정이 없습니다."))
    return _account_of(row)


def _account_of(row: Any) -> Account:
    limits = Limits(**{name: row[name] for name in vars(NO_LIMITS)})
    return Account(row["id"], row["email"], row["unmetered"], limits)


def _row_of(account: Account) -> Json:
    who = {"id": account.id, "email": account.email, "unmetered": account.unmetered}
    return {**who, **asdict(account.limits), "created_at": datetime.now(UTC)}


def _ensure_owner(connection: Connection, key: str) -> None:
    _insert_if_new(connection, accounts, _row_of(Account(OWNER_ID, OWNER_EMAIL, unmetered=True)))
    _insert_if_new(connection, api_keys, key_row(key, OWNER_ID, FIRST_KEY))


def _insert_if_new(connection: Connection, table: sa.Table, row: Json) -> None:
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(table).values(row).on_conflict_do_nothing())
