"""`keys`: make, list and revoke API keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.markup import escape

from safelight.commands.shared import err, open_client, plain_errors, print_json, print_rows
from safelight.jobs import Json

Command = TypeVar("Command", bound=Callable[..., Any])

SCOPES = ("submit", "read", "admin")
LIMITS = ("requests_per_minute", "queued_jobs", "running_jobs", "monthly_credits")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
of_account = click.option("--account", help="An account's id; for the server's owner. Default: your own.")


def limit_options(command: Command) -> Command:
    """The flags that limit a key or an account."""
    for option in (
        click.option("--requests-per-minute", type=click.IntRange(1), help="Submissions in any minute."),
        click.option("--queued-jobs", type=click.IntRange(1), help="Requests that may wait at a time."),
        click.option("--running-jobs", type=click.IntRange(1), help="Requests that may run at a time."),
        click.option("--monthly-credits", type=float, help="US dollars in a calendar month (UTC)."),
    ):
        command = option(command)
    return command


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, help="Default: submit and read.")
@click.option("--expires-in-days", type=click.IntRange(1, 3650))
@limit_options
@of_account
@as_json
def create(account: str | None, as_json: bool, **wanted: Any) -> None:
    """Make a key and print it: this once."""
    scopes = list(wanted.pop("scopes"))
    body = {name: value for name, value in wanted.items() if value is not None}
    with plain_errors(), open_client() as client:
        made = client.ask("POST", _address(account), json=body | ({"scopes": scopes} if scopes else {}))
        show_new_key(made, as_json)


@keys.command("list")
@of_account
@as_json
def list_keys(account: str | None, as_json: bool) -> None:
    """List the keys, also those that are over."""
    with plain_errors(), open_client() as client:
        found = client.ask("GET", _address(account))["keys"]
        if as_json:
            print_json(found)
        else:
            names = ("ID", "NAME", "PREFIX", "SCOPES", "LIMITS", "CREATED", "EXPIRES", "REVOKED")
            print_rows(names, map(_row, found))


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """End a key at once. The server's owner may end anybody's."""
    with plain_errors(), open_client() as client:
        # The owner's own keys are among everybody's.
        is_owner = client.ask("GET", "/api/auth/me")["id"] == "owner"
        ended = client.ask("DELETE", f"/v1/{'admin/' if is_owner else ''}keys/{key_id}")
        err.print(f"Revoked: {escape(ended['name'])} ({ended['prefix']}…)")


def show_new_key(made: Json, as_json: bool) -> None:
    """Print a new key on stdout, and on stderr what to know of it."""
    if as_json:
        print_json(made)
        return
    click.echo(made["key"])
    err.print(f"{made['id']}: keep the key safe, it is not shown again.")


def limits_text(limits: Json) -> str:
    """Limits in one cell."""
    return ", ".join(f"{name}={limits[name]}" for name in LIMITS if limits[name] is not None)


def _address(account: str | None) -> str:
    return f"/v1/admin/accounts/{account}/keys" if account else "/v1/keys"


def _row(key: Json) -> tuple[object, ...]:
    days = ((key[name] or "")[:10] for name in ("created_at", "expires_at", "revoked_at"))
    return key["id"], key["name"], key["prefix"], " ".join(key["scopes"]), limits_text(key["limits"]), *days
