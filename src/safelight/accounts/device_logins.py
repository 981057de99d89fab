"""Logging in on a device without typing a key: it shows a code, and a person who is logged in approves it.

The key is made when the device fetches it, once; until then nothing that is stored opens anything.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.accounts.keys import NewKey, key_row, new_key
from safelight.callers import Scope
from safelight.db.database import Database
from safelight.db.tables import api_keys, device_logins
from safelight.errors import NotFound, RateLimited
from safelight.texts import Text

EXPIRES_IN_S = 600
POLL_INTERVAL_S = 2
MAX_WAITING = 500
"""Logins that may wait at a time: to start one takes no key."""

SCOPES = frozenset({Scope.SUBMIT, Scope.READ})
"""What the key of a device may do."""

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # neither vowels, which make words, nor what looks like a digit


class LoginStatus(StrEnum):
    """Where a login is."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True)
class StartedLogin:
    """A login that waits. device_code: the device's secret. user_code: what it shows."""

    device_code: str
    user_code: str


class DeviceLogins:
    """The logins in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self) -> StartedLogin:
        """Begin a login. Raises RateLimited while too many wait."""
        code = "".join(secrets.choice(_LETTERS) for _ in range(8))
        login = StartedLogin(secrets.token_urlsafe(32), f"{code[:4]}-{code[4:]}")
        if not await self._database.write(lambda connection: _start(connection, login)):
            raise RateLimited(_TOO_MANY, retry_after_s=60)
        return login

    async def decide(self, user_code: str, account_id: str, *, approved: bool) -> None:
        """Approve or deny a login for an account. Raises NotFound: none with that code waits."""
        letters = "".join(letter for letter in user_code.upper() if letter in _LETTERS)
        code = f"{letters[:4]}-{letters[4:]}"
        if not await self._database.write(lambda found: _decide(found, code, account_id, approved)):
            raise NotFound(_NONE_WAITS)

    async def poll(self, device_code: str) -> tuple[LoginStatus, str | None]:
        """Return where the login of a device is; its key comes with the first answer `authorized`."""
        digest = _digest(device_code)
        row = await self._database.read(lambda connection: _waiting(connection, digest))
        if row is None:
            return LoginStatus.EXPIRED, None
        status = LoginStatus(row.status)
        if status is not LoginStatus.AUTHORIZED:
            return status, None
        token = await self._database.write(lambda connection: _hand_over(connection, digest))
        return (LoginStatus.AUTHORIZED, token) if token else (LoginStatus.EXPIRED, None)


def _digest(device_code: str) -> bytes:
    return hashlib.sha256(device_code.encode()).digest()


def _start(connection: Connection, login: StartedLogin) -> bool:
    now = datetime.now(UTC)
    connection.execute(sa.delete(device_logins).where(device_logins.c.expires_at < now))
    if (
        connection.execute(sa.select(sa.func.count()).select_from(device_logins)).scalar() or 0
    ) >= MAX_WAITING:
        return False
    row = {
        "sha256": _digest(login.device_code),
        "user_code": login.user_code,
        "status": LoginStatus.PENDING,
        "expires_at": now + timedelta(seconds=EXPIRES_IN_S),
    }
    connection.execute(sa.insert(device_logins), row)
    return True


def _decide(connection: Connection, user_code: str, account_id: str, approved: bool) -> bool:
    this = sa.and_(
        device_logins.c.user_code == user_code,
        device_logins.c.status == LoginStatus.PENDING,
        device_logins.c.expires_at >= datetime.now(UTC),
    )
    status = LoginStatus.AUTHORIZED if approved else LoginStatus.DENIED
    change = sa.update(device_logins).where(this).values(status=status, account_id=account_id)
    return connection.execute(change.returning(device_logins.c.user_code)).first() is not None


def _waiting(connection: Connection, digest: bytes) -> Any | None:
    this = sa.and_(device_logins.c.sha256 == digest, device_logins.c.expires_at >= datetime.now(UTC))
    return connection.execute(sa.select(device_logins).where(this)).first()


def _hand_over(connection: Connection, digest: bytes) -> str | None:
    """Make the key; None: another poll has fetched it."""
    this = sa.and_(device_logins.c.sha256 == digest, device_logins.c.status == LoginStatus.AUTHORIZED)
    gone = connection.execute(sa.delete(device_logins).where(this).returning(*device_logins.c)).first()
    if gone is None:
        return None
    token = new_key()
    connection.execute(
        sa.insert(api_keys), key_row(token, gone.account_id, NewKey(f"device {gone.user_code}", SCOPES))
    )
    return token


_TOO_MANY = Text(
    "Too many logins wait for approval; try again in a minute.",
    "승인을 기다리는 로그인이 너무 많습니다. 1분 뒤에 다시 시도해 주세요.",
)
_NONE_WAITS = Text(
    "No login waits under that code; it may have expired. Start it again.",
    "그 코드로 기다리는 로그인이 없습니다. 만료되었을 수 있으니 다시 시작해 주세요.",
)
