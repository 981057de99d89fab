"""The wire's words for accounts, keys and money: what `wire.py` is for requests and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal

from safelight.api.wire import timestamp
from safelight.callers import Account, Key, Limits, Scope
from safelight.credits.ledger import Balance, Entry
from safelight.credits.usage import UsageLine
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


def account_shown(account: Account, balance: Balance) -> Json:
    """An account, for the owner of the server."""
    return {
        "id": account.id,
        "email": account.email,
        "unmetered": account.unmetered,
        "balance_usd": usd(balance.free),
        "held_usd": usd(balance.held),
        "limits": limits_shown(account.limits),
    }


def entry_shown(entry: Entry) -> Json:
    """An entry of the ledger: how much was moved, and what that does to the balance."""
    shown: Json = {
        "id": entry.seq,
        "kind": entry.kind,
        "usd": usd(entry.amount),
        "balance_change_usd": usd(entry.change),
        "created_at": timestamp(entry.created_at),
    }
    if entry.job_id is not None:
        shown["request_id"] = entry.job_id
    if entry.note:
        shown["note"] = entry.note
    return shown


def ledger_page(entries: Sequence[Entry], limit: int) -> Json:
    """One page; next_cursor is null at the end."""
    more = entries[-1].seq if len(entries) == limit else None
    return {"entries": [entry_shown(entry) for entry in entries], "next_cursor": more}


def usage_shown(lines: Sequence[UsageLine]) -> Json:
    """Usage, and what it comes to."""
    total = {
        "requests": sum(line.requests for line in lines),
        "completed": sum(line.completed for line in lines),
        "cost_usd": usd(sum((line.usd for line in lines), Decimal(0))),
    }
    return {"usage": [_usage_line(line) for line in lines], "total": total}


def _usage_line(line: UsageLine) -> Json:
    shown = asdict(line)
    shown["cost_usd"] = usd(shown.pop("usd"))
    return shown
