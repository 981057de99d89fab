"""`accounts`: who may use the server; for its owner."""

from __future__ import annotations

from typing import Any

import click

from safelight.commands.keys import as_json, limit_options, limits_text, show_new_key
from safelight.commands.shared import open_client, plain_errors, print_json, print_rows
from safelight.jobs import Json


@click.group()
def accounts() -> None:
    """Make and list accounts, and set their limits (for the server's owner)."""


@accounts.command()
@click.argument("email")
@click.option("--unmetered", is_flag=True, help="Amounts are computed and waived.")
@limit_options
@as_json
def create(email: str, as_json: bool, **wanted: Any) -> None:
    """Make an account and print its first key: this once."""
    body = {name: value for name, value in wanted.items() if value is not None}
    with plain_errors(), open_client() as client:
        show_new_key(client.ask("POST", "/v1/admin/accounts", json={"email": email, **body}), as_json)


@accounts.command("list")
@as_json
def list_accounts(as_json: bool) -> None:
    """List all accounts."""
    with plain_errors(), open_client() as client:
        found = client.ask("GET", "/v1/admin/accounts")["accounts"]
        if as_json:
            print_json(found)
        else:
            print_rows(("ID", "E-MAIL", "METERED", "BALANCE", "LIMITS"), map(_row, found))


@accounts.command()
@click.argument("account")
@limit_options
def limit(account: str, **wanted: Any) -> None:
    """Give an account these limits; those that are not named end."""
    with plain_errors(), open_client() as client:
        client.ask("PUT", f"/v1/admin/accounts/{account}/limits", json=wanted)


def _row(account: Json) -> tuple[object, ...]:
    metered = "no" if account["unmetered"] else "yes"
    balance = f"{account['balance_usd']:g}"
    return account["id"], account["email"], metered, balance, limits_text(account["limits"])
