"""`login` and `whoami`: get a key without typing one, and see whose it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from safelight.commands.shared import (
    EXIT_AUTH,
    err,
    open_client,
    out,
    plain_errors,
    print_json,
    server_url,
    stop,
)
from safelight.jobs import Json
from safelight.settings import read_settings

if TYPE_CHECKING:
    from safelight.client import Client


@click.command()
@click.argument("url", required=False)
@click.option("--approve", "user_code", metavar="CODE", help="Let the device in that shows this code.")
@click.option("--deny", "denied_code", metavar="CODE", help="Keep the device out that shows this code.")
def login(url: str | None, user_code: str | None, denied_code: str | None) -> None:
    """Log in to a server: somebody who has a key there approves the code that is shown.

    \b
    safelight login https://images.example.org     on the new machine
    safelight login --approve BCDF-GHJK            where there is a key already

    The key that comes back may submit and read. It is kept in the data folder, readable for this user
    alone, and commands use it from then on.
    """
    with plain_errors():
        if user_code or denied_code:
            _decide(user_code or denied_code or "", approved=bool(user_code))
        else:
            _log_in(url)


def _decide(user_code: str, *, approved: bool) -> None:
    with open_client() as client:
        body = {"user_code": user_code, "approve": approved}
        client.ask("POST", "/api/cli-auth/approve", json=body)
        err.print("It is let in." if approved else "It is kept out.")


def _log_in(url: str | None) -> None:
    from safelight.client import APIError, Client
    from safelight.logins import Login, save_login

    settings = read_settings(base_url=url)
    with Client(server_url(settings)) as client:
        started = client.ask("POST", "/api/cli-auth/start")
        _show(started)
        try:
            token = _poll(client, started)
        except APIError as error:
            if error.http_status != 410:
                raise
            stop(error.message, EXIT_AUTH)
        save_login(settings.login_file, Login(client.base_url, token))
    with Client(client.base_url, token) as client:
        known = client.ask("GET", "/api/auth/me")
        out.print(f"Logged in to {client.base_url} as {escape(known['email'])}", soft_wrap=True)
    err.print(f"The key is in {settings.login_file}", soft_wrap=True)


def _show(started: Json) -> None:
    err.print(
        f"Open {started['verify_url']} and check the code: [bold]{started['user_code']}[/]", soft_wrap=True
    )
    err.print(f"Or, where there is a key already: safelight login --approve {started['user_code']}")


def _poll(client: Client, started: Json) -> str:
    with err.status("Waiting for approval"):
        while True:
            answer = client.ask("POST", "/api/cli-auth/poll", json={"device_code": started["device_code"]})
            if answer["status"] == "authorized":
                return str(answer["access_token"])
            time.sleep(started["poll_interval"])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def whoami(as_json: bool) -> None:
    """Show whose key is used, and on which server."""
    with plain_errors(), open_client() as client:
        known = client.ask("GET", "/api/auth/me")
        if as_json:
            print_json(known | {"base_url": client.base_url})
        else:
            out.print(f"{escape(known['email'])} ({known['id']}) at {client.base_url}", soft_wrap=True)
