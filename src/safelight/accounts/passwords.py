"""Passwords: what a person may log in with instead of a key, by the account's e-mail address.

Kept as argon2id hashes. Two accounts may have the same e-mail address, but not both a password too.
"""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from safelight.accounts.guesses import Guesses
from safelight.callers import Account
from safelight.db.database import Database
from safelight.db.tables import accounts, passwords, sessions
from safelight.errors import FieldProblem, InvalidInput, NotFound, RateLimited, Unauthorized
from safelight.texts import Text

MIN_CHARACTERS = 12
MAX_CHARACTERS = 128

AT_ONCE = 2
"""Hashes that are computed at a time: each takes 64 MiB and up to four cores."""
MAX_UNDER_WAY = 40
"""And with those that wait for one; past it a try is refused: better than a wait without end."""

_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$RwFgH1sK/TGmezc21ogGZQ$TkFScuvKjObZ9PGxUgXvMh4t0H0e4lg+EEmXxyGOU1Q"
"""Of a password that was forgotten at once: what is tried where there is none costs as much time."""

T = TypeVar("T")


@dataclass(frozen=True)
class Proven:
    """Whose password was given, and the hash that it fits: by now there may be another."""

    account_id: str
    hash: str


class Passwords:
    """The passwords in the database."""

    def __init__(self, database: Database, guesses: Guesses | None = None) -> None:
        self._database = database
        self._guesses = guesses or Guesses()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._under_way = 0

    async def prove(self, email: str, password: str, address: str) -> Proven:
        """Return whose password this is. address: where the try comes from.

        Raises Unauthorized for an unknown name, an account without a password and a wrong one, after the same
        work, and RateLimited after too many of those.
        """
        name = _name_of(email)
        with self._guesses.counted(name, address):
            query = sa.select(passwords).where(passwords.c.name == name)
            row = await self._database.read(lambda connection: connection.execute(query).first())
            fits = await self._in_turn(lambda: _fits(row.hash if row else _NOBODYS, password))
            if not (row and fits):
                raise Unauthorized
            return Proven(row.account_id, row.hash)

    async def set_at(self, account_id: str) -> datetime | None:
        """When an account's password was set; None: it has none."""
        query = sa.select(passwords.c.set_at).where(passwords.c.account_id == account_id)
        return await self._database.read(lambda connection: connection.scalar(query))

    async def change(
        self, account: Account, password: str | None, proven: Proven | None, session: str
    ) -> None:
        """Give an account a password, or none, as whoever is logged in to it wishes.

        proven: its present one; None: it has none. session: the token of the one session that goes on.
        Raises Unauthorized when that is not so any more, and InvalidInput when another account has its name.
        """
        new = await self._hashed(password)

        def work(connection: Connection) -> None:
            if _present(connection, account.id) != (proven and proven.hash):
                raise Unauthorized
            _replace(connection, account, new, session)

        await self._database.write(work)

    async def reset(self, account: Account, password: str | None) -> None:
        """The same as the server's owner wishes, whatever the account had; no session goes on."""
        new = await self._hashed(password)

        def work(connection: Connection) -> None:
            _present(connection, account.id)
            _replace(connection, account, new, "")

        await self._database.write(work)

    async def _hashed(self, password: str | None) -> str | None:
        if password is None:
            return None
        return await self._in_turn(lambda: _HASHER.hash(normalized(password)))

    async def _in_turn(self, work: Callable[[], T]) -> T:
        """Compute in a thread, a few at a time. Raises RateLimited when too many wait."""
        if self._under_way >= MAX_UNDER_WAY:
            raise RateLimited(_BUSY, retry_after_s=10)
        self._under_way += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._under_way -= 1


def normalized(password: str) -> str:
    """A password as it is hashed: one keyboard composes a letter that another one takes apart."""
    return unicodedata.normalize("NFKC", password)


def _name_of(email: str) -> str:
    # Postgres takes no NUL; no account's address has one.
    return normalized(email.strip()).casefold().replace("\0", "\ufffd")


def _fits(known: str, password: str) -> bool:
    try:
        return _HASHER.verify(known, normalized(password))
    except VerifyMismatchError:
        return False


def _present(connection: Connection, account_id: str) -> str | None:
    """An account's hash. Until the transaction ends, nobody else changes it. Raises NotFound."""
    this = sa.select(accounts.c.id).where(accounts.c.id == account_id)
    if connection.scalar(this.with_for_update(key_share=True)) is None:
        raise NotFound
    return connection.scalar(sa.select(passwords.c.hash).where(passwords.c.account_id == account_id))


def _replace(connection: Connection, account: Account, new: str | None, session: str) -> None:
    connection.execute(sa.delete(passwords).where(passwords.c.account_id == account.id))
    if new is not None:
        _insert(connection, account, new)
    kept = hashlib.sha256(session.encode()).digest()
    others = sa.delete(sessions).where(sessions.c.account_id == account.id, sessions.c.sha256 != kept)
    connection.execute(others)


def _insert(connection: Connection, account: Account, new: str) -> None:
    row = {
        "account_id": account.id,
        "name": _name_of(account.email),
        "hash": new,
        "set_at": datetime.now(UTC),
    }
    unless_taken = postgresql.insert(passwords).values(row).on_conflict_do_nothing()
    if connection.execute(unless_taken.returning(passwords.c.account_id)).first() is None:
        raise InvalidInput(_TAKEN, fields=(FieldProblem("password", _TAKEN),))


_BUSY = Text(
    "Many are logging in right now. Try again in a few seconds.",
    "지금 로그인하려는 사람이 많습니다. 잠시 후 다시 시도해 주세요.",
)
_TAKEN = Text(
    "cannot be set: another account with the same e-mail address has one. Log in with a key.",
    "설정할 수 없습니다. 같은 이메일 주소를 쓰는 다른 계정에 비밀번호가 있습니다. 키로 로그인해 주세요.",
)
