"""API keys: who holds one gets in.

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
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam

from safelight.callers import ALL_SCOPES, NO_LIMITS, Account, Caller, Key, Limits, Scope
from safelight.db.database import Database
from safelight.db.statements import Statement
from safelight.db.tables import UtcDateTime, accounts, api_keys, usd_of
from safelight.errors import NotFound, Unauthorized
from safelight.jobs import Json, new_id
from safelight.texts import Text

KEY = re.compile(r"[!-~]{32,255}")
PREFIX_LENGTH = 8


@dataclass(frozen=True)
class NewKey:
    """What a key shall be."""

    name: str
    scopes: frozenset[Scope] = ALL_SCOPES
    limits: Limits = NO_LIMITS
    expires_at: datetime | None = None


def new_key() -> str:
    """Make an API key."""
    return "sl_" + secrets.token_urlsafe(32)


class Keys:
    """The keys in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen_this_turn: dict[bytes, Caller] = {}

    async def authenticate(self, token: str) -> Caller:
        """Return who holds this key. Raises Unauthorized, the same for unknown, revoked and expired ones.

        Requests that arrive together with the same key are answered by one look into the database: what it
        found is forgotten at the next turn of the event loop, so a revoked key is refused at once.
        """
        if not KEY.fullmatch(token):
            raise Unauthorized
        digest = hashlib.sha256(token.encode()).digest()
        if caller := self._seen_this_turn.get(digest):
            return caller
        for row in await self._database.rows(_VALID, {"prefix": token[:PREFIX_LENGTH]}):
            if hmac.compare_digest(row.sha256, digest):
                return self._remember(digest, caller_of(row[1:]))
        raise Unauthorized

    async def create(self, account_id: str, wanted: NewKey) -> tuple[Key, str]:
        """Make a key. Returns it and its token, which nobody can read again."""
        token = new_key()
        row = key_row(token, account_id, wanted)
        await self._database.write(lambda connection: connection.execute(sa.insert(api_keys), row).close())
        return key_of(row), token

    async def all_of(self, account_id: str) -> list[Key]:
        """An account's keys, also those that are over, the oldest first."""
        query = sa.select(api_keys).where(api_keys.c.account_id == account_id).order_by(api_keys.c.created_at)
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [key_of(row) for row in rows]

    async def revoke(self, key_id: str, account_id: str | None = None) -> Key:
        """End a key at once; one that is revoked already stays as it is. Raises NotFound.

        account_id: whose it must be; None: anybody's.
        """
        row = await self._database.write(lambda connection: _revoke(connection, key_id, account_id))
        if row is None:
            raise NotFound(Text("There is no such key.", "그런 키가 없습니다."))
        return key_of(row)

    def _remember(self, digest: bytes, caller: Caller) -> Caller:
        if not self._seen_this_turn:
            asyncio.get_running_loop().call_soon(self._seen_this_turn.clear)
        self._seen_this_turn[digest] = caller
        return caller


def key_row(token: str, account_id: str, wanted: NewKey) -> Json:
    """A new key's column values."""
    return {
        "sha256": hashlib.sha256(token.encode()).digest(),
        "id": new_id(),
        "prefix": token[:PREFIX_LENGTH],
        "account_id": account_id,
        "name": wanted.name,
        "scopes": " ".join(scope for scope in Scope if scope in wanted.scopes),
        "created_at": datetime.now(UTC),
        "expires_at": wanted.expires_at,
        "revoked_at": None,
        **vars(wanted.limits),
    }


def key_of(row: Any) -> Key:
    """The key of a complete row."""
    same = ("id", "account_id", "name", "prefix", "created_at", "expires_at", "revoked_at")
    limits = Limits(**{name: row[name] for name in vars(NO_LIMITS)})
    return Key(**{name: row[name] for name in same}, scopes=_scopes(row["scopes"]), limits=limits)


def _revoke(connection: Connection, key_id: str, account_id: str | None) -> Any | None:
    this = api_keys.c.id == key_id
    if account_id is not None:
        this &= api_keys.c.account_id == account_id
    first = sa.func.coalesce(api_keys.c.revoked_at, sa.literal(datetime.now(UTC), UtcDateTime))
    ended = sa.update(api_keys).where(this).values(revoked_at=first).returning(api_keys)
    return connection.execute(ended).mappings().first()


def _scopes(names: str) -> frozenset[Scope]:
    return frozenset(map(Scope, names.split()))


# --- Reading who calls: with every request, so the columns come as they are stored -------------------------


def _as_stored(table: sa.Table) -> list[sa.ColumnElement[Any]]:
    """The columns of Limits."""
    return [_plain(table.c[name]) for name in vars(NO_LIMITS)]


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[int]:
    return sa.type_coerce(column, sa.Integer).label(f"{column.table.name}_{column.name}")


WHO = (
    accounts.c.id,
    accounts.c.email,
    _plain(accounts.c.unmetered),
    *_as_stored(accounts),
    api_keys.c.id.label("key_id"),
    api_keys.c.scopes,
    *_as_stored(api_keys),
)
"""What `caller_of` reads, from an account and its key."""

is_valid = sa.and_(
    api_keys.c.revoked_at.is_(None),
    sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > sa.func.current_timestamp()),
)

_VALID = Statement(
    sa.select(api_keys.c.sha256, *WHO)
    .join_from(api_keys, accounts)
    .where(api_keys.c.prefix == bindparam("prefix"), is_valid)
)


@lru_cache(maxsize=1024)
def caller_of(row: tuple[Any, ...]) -> Caller:
    """The caller of a row of WHO; the same row makes the same one. Without a key all is allowed."""
    size = len(vars(NO_LIMITS))
    account_id, email, unmetered, *rest = row
    account = Account(account_id, email, bool(unmetered), _limits(rest[:size]))
    key_id, scopes, *limits = rest[size:]
    return Caller(account, key_id, ALL_SCOPES if key_id is None else _scopes(scopes), _limits(limits))


def _limits(stored: Any) -> Limits:
    per_minute, queued, running, credits = stored
    return Limits(per_minute, queued, running, None if credits is None else usd_of(credits))
