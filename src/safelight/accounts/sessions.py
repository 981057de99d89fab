"""Sessions: how a browser stays logged in, and the one-time codes that log one in.

Like a key, a session's token is 256 random bits of which the database keeps the SHA-256 alone. A session that
a key began may what that key may, and ends when it is revoked or expires. One that a password or a code began
may what the account may: as much as with a key of all scopes that has no limits of its own.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam

from safelight.accounts.keys import WHO, Keys, caller_of, is_valid
from safelight.accounts.passwords import Proven
from safelight.callers import Caller
from safelight.db.database import Database
from safelight.db.statements import Statement
from safelight.db.tables import accounts, api_keys, login_codes, passwords, sessions
from safelight.errors import Unauthorized
from safelight.jobs import Json

LIFETIME = timedelta(days=30)
CODE_LIFETIME = timedelta(days=1)
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class Sessions:
    """Sessions in the database."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    async def begin_with_key(self, key: str) -> str:
        """Start a session of a key's account. Returns its token. Raises Unauthorized."""
        holder = (await self._keys.authenticate(key)).account.id
        return await self._database.write(lambda connection: _begin(connection, holder, _digest(key)))

    async def begin_with_password(self, proven: Proven) -> str:
        """Start a session of the account whose password was given. Returns its token.

        Raises Unauthorized when that password was changed meanwhile.
        """
        token = await self._database.write(lambda connection: _begin_while_it_fits(connection, proven))
        if token is None:
            raise Unauthorized
        return token

    async def begin_with_code(self, code: str) -> str:
        """Start a session with a one-time code, which is used up. Raises Unauthorized."""
        token = await self._database.write(lambda connection: _redeem(connection, code))
        if token is None:
            raise Unauthorized
        return token

    async def new_code(self, account_id: str) -> str:
        """Make a code that logs in once, within a day."""
        return await self._database.write(lambda connection: _new_code(connection, account_id))

    async def caller_of(self, token: str) -> Caller:
        """Return whose session this is; it may what its key may. Raises Unauthorized."""
        if TOKEN.fullmatch(token):
            found = await self._database.rows(_CALLER, {"sha256": _digest(token), "now": datetime.now(UTC)})
            for row in found:
                return caller_of(row)
        raise Unauthorized

    async def end(self, token: str) -> None:
        """Log out; a token that is unknown is none any more anyway."""
        mine = sa.delete(sessions).where(sessions.c.sha256 == _digest(token))
        await self._database.write(lambda connection: connection.execute(mine).close())


def _begin(connection: Connection, account_id: str, key_sha256: bytes | None) -> str:
    _forget_expired(connection)
    token = secrets.token_urlsafe(32)
    connection.execute(
        sa.insert(sessions).values(
            sha256=_digest(token),
            account_id=account_id,
            key_sha256=key_sha256,
            expires_at=datetime.now(UTC) + LIFETIME,
        )
    )
    return token


def _begin_while_it_fits(connection: Connection, proven: Proven) -> str | None:
    """Who changes the password ends all sessions: none may begin with the old one after that."""
    this = (passwords.c.account_id == proven.account_id) & (passwords.c.hash == proven.hash)
    known = sa.select(passwords.c.account_id).where(this).with_for_update(read=True)
    return _begin(connection, proven.account_id, None) if connection.scalar(known) else None


def _new_code(connection: Connection, account_id: str) -> str:
    _forget_expired(connection)
    code = secrets.token_urlsafe(32)
    row: Json = {
        "sha256": _digest(code),
        "account_id": account_id,
        "expires_at": datetime.now(UTC) + CODE_LIFETIME,
    }
    connection.execute(sa.insert(login_codes).values(row))
    return code


def _redeem(connection: Connection, code: str) -> str | None:
    """Use a code up and begin its session: one statement decides who of two comes first."""
    used = (
        sa.delete(login_codes)
        .where(login_codes.c.sha256 == _digest(code), login_codes.c.expires_at > datetime.now(UTC))
        .returning(login_codes.c.account_id)
    )
    account_id = connection.scalar(used)
    return _begin(connection, account_id, None) if account_id else None


def _forget_expired(connection: Connection) -> None:
    for table in (sessions, login_codes):
        connection.execute(sa.delete(table).where(table.c.expires_at <= datetime.now(UTC)))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


_CALLER = Statement(
    sa.select(*WHO)
    .join_from(sessions, accounts, sessions.c.account_id == accounts.c.id)
    .outerjoin(api_keys, sessions.c.key_sha256 == api_keys.c.sha256)
    .where(
        sessions.c.sha256 == bindparam("sha256", type_=sa.LargeBinary),
        sessions.c.expires_at > bindparam("now", type_=sessions.c.expires_at.type),
        is_valid,
    )
)
