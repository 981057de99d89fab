"""The wire's words for accounts, keys and money: what `wire.py` is for requests and models."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal

from safelight.api.wire import timestamp
from safelight.callers import Account, Key, Limits, Scope
from safelight.jobs import Json


def usd(amount: Decimal) -> float:
    """An amount as a JSON number: its shortest decimal form is the exact amount."""
    return float(amount)


def limits_shown(limits: Limits) -> Json:
    """Limits; null: none."""
    shown = asdict(limits)
    if limits.monthly_credits is not None:
        shown["monthly_credits"] = usd(limits.monthly_credits)
    return shown


def key_shown(key: Key) -> Json:
    """A key without its token."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": [scope.value for scope in Scope if scope in key.scopes],
        "limits": limits_shown(key.limits),
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp(key.expires_at) if key.expires_at else None,
        "revoked_at": timestamp(key.revoked_at) if key.revoked_at else None,
    }


def account_shown(account: Account) -> Json:
    """An account, for the owner of the server."""
    return {
        "id": account.id,
        "email": account.email,
        "unmetered": account.unmetered,
        "limits": limits_shown(account.limits),
    }
