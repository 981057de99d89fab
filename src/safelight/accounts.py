"""Accounts and their API keys.

A key is 256 random bits, shown once; the database keeps its SHA-256 and a short prefix to find it by.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam
from sqlalchemy.dialects import postgresql, sqlite

from safelight.database import Database
from safelight.errors import Unauthorized
from safelight.jobs import Json
from safelight.statements import Statement
from safelight.tables import accounts, api_keys

OWNER_ID = "owner"
OWNER_EMAIL = "owner@localhost"
KEY = re.compile(r"[!-~]{32,255}")
PREFIX_LENGTH = 8


@dataclass(frozen=True)
class Account:
    """Who sends requests. `unmetered`: amounts are computed and waived."""

    id: str
    email: str
    unmetered: bool


def new_key() -> str:
    """Make an API key."""
    return "sl_" + secrets.token_urlsafe(32)


class Accounts:
    """Accounts in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen_this_turn: dict[bytes, Account] = {}

    async def has_owner(self) -> bool:
        """Whether the owner's account is there."""
        owner = sa.select(accounts.c.id).where(accounts.c.id == OWNER_ID)
        return await self._database.read(lambda connection: connection.execute(owner).first() is not None)

    async def ensure_owner(self, key: str) -> None:
        """Create the owner's account unless it is there, and let `key` in."""
        await self._database.write(lambda connection: _ensure_owner(connection, key))

    async def authenticate(self, token: str) -> Account:
        """Return the account of a key. Raises Unauthorized, the same for an unknown and a revoked one.

        Requests that arrive together with the same key are answered by one look into the database: what it
        found is forgotten at the next turn of the event loop, so a revoked key is refused at once.
        """
        if not KEY.fullmatch(token):
            raise Unauthorized
        digest = hashlib.sha256(token.encode()).digest()
        if account := self._seen_this_turn.get(digest):
            return account
        for row in await self._database.rows(_KEYS, {"prefix": token[:PREFIX_LENGTH]}):
            if hmac.compare_digest(row.sha256, digest):
                return self._remember(digest, Account(row.id, row.email, row.unmetered))
        raise Unauthorized

    def _remember(self, digest: bytes, account: Account) -> Account:
        if not self._seen_this_turn:
            asyncio.get_running_loop().call_soon(self._seen_this_turn.clear)
        self._seen_this_turn[digest] = account
        return account


def _ensure_owner(connection: Connection, key: str) -> None:
    now = datetime.now(UTC)
    owner = {"id": OWNER_ID, "email": OWNER_EMAIL, "unmetered": True, "created_at": now}
    _insert_if_new(connection, accounts, owner)
    _insert_if_new(connection, api_keys, _key_row(key, OWNER_ID, now))


def _key_row(token: str, account_id: str, now: datetime) -> Json:
    return {
        "sha256": hashlib.sha256(token.encode()).digest(),
        "prefix": token[:PREFIX_LENGTH],
        "account_id": account_id,
        "created_at": now,
    }


def _insert_if_new(connection: Connection, table: sa.Table, row: Json) -> None:
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(table).values(row).on_conflict_do_nothing())


_KEYS = Statement(
    sa.select(api_keys.c.sha256, accounts.c.id, accounts.c.email, accounts.c.unmetered)
    .join_from(api_keys, accounts)
    .where(api_keys.c.prefix == bindparam("prefix"), api_keys.c.revoked_at.is_(None))
)
