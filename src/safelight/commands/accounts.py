"""`accounts`: who may use the server; for its owner."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.markup import escape

from safelight.commands.keys import as_json, limit_options, limits_text, show_new_key
from safelight.commands.shared import EXIT_DATA, err, open_client, plain_errors, print_json, print_rows, stop
from safelight.jobs import Json


@click.group()
def accounts() -> None:
    """Make and list accounts, and set their limits and passwords (for the server's owner)."""


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


@accounts.command()
@click.argument("account")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from standard input: one line.")
@click.option("--remove", is_flag=True, help="Leave the account without a password.")
def password(account: str, from_stdin: bool, remove: bool) -> None:
    """Set an account's password for the pages; ACCOUNT is its e-mail address or its id.

    It is asked for twice and not shown. Wherever the account was logged in, it is logged out.
    """
    with plain_errors(), open_client() as client:
        known = _account(client.ask("GET", "/v1/admin/accounts")["accounts"], account)
        wanted = None if remove else _typed_password(from_stdin)
        client.ask("PUT", f"/v1/admin/accounts/{known['id']}/password", json={"password": wanted})
        err.print(f"{escape(known['email'])} logs in with a {'key' if remove else 'password or a key'}.")


def _account(known: list[Json], wanted: str) -> Json:
    """The account of that id, else the one of that e-mail address."""
    of_id = [account for account in known if account["id"] == wanted]
    found = of_id or [account for account in known if account["email"].casefold() == wanted.casefold()]
    if not found:
        stop(f"There is no account {wanted}; safelight accounts list shows all.", EXIT_DATA)
    if len(found) > 1:
        ids = ", ".join(account["id"] for account in found)
        stop(f"Several accounts have that e-mail address; name one by its id: {ids}", EXIT_DATA)
    return found[0]


def _typed_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    typed: str = click.prompt("New password", hide_input=True, confirmation_prompt="Once more", err=True)
    return typed


def _row(account: Json) -> tuple[object, ...]:
    metered = "no" if account["unmetered"] else "yes"
    balance = f"{account['balance_usd']:g}"
    return account["id"], account["email"], metered, balance, limits_text(account["limits"])
