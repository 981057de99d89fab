"""The shapes of the answers on accounts, keys and money: what `shapes.py` is for requests and models."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class ApiLimits(TypedDict):
    """How much an account or a key may do; null: as much as it likes. Credits are US dollars."""

    requests_per_minute: int | None
    queued_jobs: int | None
    running_jobs: int | None
    monthly_credits: float | None


class LedgerEntry(TypedDict):
    """One entry: `usd` were moved, and the balance changed by `balance_change_usd`."""

    id: int
    kind: Literal["grant", "withdrawal", "hold", "release", "charge", "waiver"]
    usd: float
    balance_change_usd: float
    created_at: str
    request_id: NotRequired[str]
    note: NotRequired[str]


class LedgerPage(TypedDict):
    """One page of a ledger, the newest first."""

    entries: list[LedgerEntry]
    next_cursor: int | None


class Granted(TypedDict):
    """A grant or a withdrawal, and the balance after it."""

    entry: LedgerEntry
    balance_usd: float


class Audit(TypedDict):
    """Whether the books are right; every finding says what is not."""

    ok: bool
    findings: list[str]


class UsageLine(TypedDict):
    """What one key used of one model on one day (UTC)."""

    day: str
    key_id: str | None
    key_name: str | None
    model_id: str
    requests: int
    completed: int
    cost_usd: float


class UsageTotal(TypedDict):
    """What it comes to."""

    requests: int
    completed: int
    cost_usd: float


class UsageReport(TypedDict):
    """What was used, the newest day first; the cost of requests under way is the most they can cost."""

    usage: list[UsageLine]
    total: UsageTotal


class ApiKey(TypedDict):
    """A key without its token."""

    id: str
    name: str
    prefix: str
    scopes: list[Literal["submit", "read", "admin"]]
    limits: ApiLimits
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class NewApiKey(ApiKey):
    """A key that was just made: `key` is shown this once."""

    key: str


class KeyList(TypedDict):
    """An account's keys, the oldest first."""

    keys: list[ApiKey]


class ApiAccount(TypedDict):
    """An account, for the owner of the server."""

    id: str
    email: str
    unmetered: bool
    balance_usd: float
    held_usd: float
    limits: ApiLimits


class NewApiAccount(ApiAccount):
    """An account that was just made, with its first key."""

    key: str


class AccountList(TypedDict):
    """Every account, the oldest first."""

    accounts: list[ApiAccount]
