"""Who may ask for what: accounts, their keys, what a key is for and how much it may. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Scope(StrEnum):
    """What a key is for."""

    SUBMIT = "submit"
    """Send requests and files, and cancel requests."""
    READ = "read"
    """See requests, results, files, balance and usage."""
    ADMIN = "admin"
    """Manage the account's keys; of the owner's account: the server's accounts and credits too."""


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True)
class Limits:
    """How much an account or a key may do; None: as much as it likes.

    requests_per_minute counts submissions. monthly_credits are US dollars in a calendar month (UTC).
    """

    requests_per_minute: int | None = None
    queued_jobs: int | None = None
    running_jobs: int | None = None
    monthly_credits: Decimal | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Account:
    """Who sends requests. unmetered: amounts are computed and waived."""

    id: str
    email: str
    unmetered: bool
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class Key:
    """One of an account's keys, as it may be shown. prefix: the first characters, to tell keys apart by."""

    id: str
    account_id: str
    name: str
    prefix: str
    scopes: frozenset[Scope]
    limits: Limits
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class Caller:
    """Who is asking, and with which key; without one it is a person who has logged in."""

    account: Account
    key_id: str | None = None
    scopes: frozenset[Scope] = ALL_SCOPES
    limits: Limits = NO_LIMITS
    """The key's own; the account's hold too."""
