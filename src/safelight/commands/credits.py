"""`credits` and `usage`: what there is to spend, and what was spent."""

from __future__ import annotations

import sys

import click

from safelight.commands.keys import as_json, of_account
from safelight.commands.shared import EXIT_FAILED, err, open_client, plain_errors, print_json, print_rows
from safelight.jobs import Json


@click.group(name="credits")
def credit() -> None:
    """Show and grant credits (1 credit = 1 US dollar), and audit the ledger."""


@credit.command()
@of_account
@click.option("--limit", type=click.IntRange(1, 500), default=20, help="How many entries (20).")
@as_json
def show(account: str | None, limit: int, as_json: bool) -> None:
    """Show the balance and what has happened to it lately."""
    with plain_errors(), open_client() as client:
        address = f"/v1/admin/accounts/{account}/ledger" if account else "/v1/ledger"
        page = client.ask("GET", address, params={"limit": limit})
        listing = client.ask("GET", "/v1/admin/accounts") if account else None
        balance = _balance_of(listing, account) if listing and account else client.balance()
        if as_json:
            print_json({**balance, "entries": page["entries"]})
            return
        names = ("WHEN", "WHAT", "USD", "BALANCE", "REQUEST", "NOTE")
        click.echo(_balance_text(balance))
        print_rows(names, map(_entry_row, page["entries"]))


@credit.command()
@click.argument("account")
@click.argument("amount", type=float)
@click.option("--note", default="", help="Why, for the ledger.")
def grant(account: str, amount: float, note: str) -> None:
    """Give an account credits; after -- a negative amount takes them back."""
    with plain_errors(), open_client() as client:
        body = {"amount_usd": amount, "note": note}
        done = client.ask("POST", f"/v1/admin/accounts/{account}/grants", json=body)
        click.echo(f"{done['balance_usd']:g} credits")


@credit.command()
def audit() -> None:
    """Prove the ledger; exits with 1 when something is wrong."""
    with plain_errors(), open_client() as client:
        findings = client.ask("GET", "/v1/admin/audit")["findings"]
        for finding in findings:
            click.echo(finding)
        err.print("The books are right." if not findings else f"{len(findings)} findings.")
        sys.exit(EXIT_FAILED if findings else 0)


@click.command()
@click.option("--from", "first", metavar="DAY", help="Such as 2026-11-01; default: 30 days ago.")
@click.option("--to", "last", metavar="DAY", help="Default: today (UTC).")
@of_account
@as_json
def usage(account: str | None, first: str | None, last: str | None, as_json: bool) -> None:
    """Show what was used: requests and their cost by day, key and model."""
    with plain_errors(), open_client() as client:
        address = f"/v1/admin/accounts/{account}/usage" if account else "/v1/usage"
        days = {name: day for name, day in (("from", first), ("to", last)) if day}
        report = client.ask("GET", address, params=days)
        if as_json:
            print_json(report)
            return
        print_rows(("DAY", "KEY", "MODEL", "REQUESTS", "COMPLETED", "USD"), map(_usage_row, report["usage"]))
        total = report["total"]
        counts = f"{total['requests']} requests, {total['completed']} completed"
        err.print(f"{counts}, {total['cost_usd']:g} credits")


def _balance_of(listing: Json, account: str) -> Json:
    return next((found for found in listing["accounts"] if found["id"] == account), {})


def _balance_text(balance: Json) -> str:
    if balance.get("unmetered"):
        return "unmetered: amounts are computed and waived"
    return f"{balance['balance_usd']:g} credits, {balance['held_usd']:g} more held by requests under way"


def _entry_row(entry: Json) -> tuple[object, ...]:
    change = f"{entry['balance_change_usd']:+g}" if entry["balance_change_usd"] else ""
    when, what = entry["created_at"], entry["kind"]
    return when, what, f"{entry['usd']:g}", change, entry.get("request_id"), entry.get("note")


def _usage_row(line: Json) -> tuple[object, ...]:
    key = line["key_name"] or ("in the browser" if line["key_id"] is None else line["key_id"])
    return line["day"], key, line["model_id"], line["requests"], line["completed"], f"{line['cost_usd']:g}"
