"""`status`, `result`, `cancel`, `requests` and `upload`: what was sent, and what became of it."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

import click

from safelight.commands.run import state, urls
from safelight.commands.shared import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TRY_AGAIN,
    err,
    open_client,
    plain_errors,
    print_json,
    print_rows,
    stop,
)

if TYPE_CHECKING:
    from safelight.client import Client

as_json = click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
request_id = click.argument("request_id", metavar="REQUEST")


@click.command()
@request_id
@as_json
def status(request_id: str, as_json: bool) -> None:
    """Show where a request is."""
    with plain_errors(), open_client() as client:
        found = client.status(request_id)
        if as_json:
            print_json(found)
        else:
            click.echo(state(found))


@click.command()
@request_id
@click.option("--wait", is_flag=True, help="Wait until it has ended.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Save the image here.")
@as_json
def result(request_id: str, wait: bool, output: Path | None, as_json: bool) -> None:
    """Show what came out of a request; 75 as long as nothing has."""
    with plain_errors(), open_client() as client:
        if wait:
            _wait(client, request_id)
        found = client.result(request_id)
        if as_json:
            print_json(found)
        if found["status"] == "failed":
            stop(found["error"]["message"], EXIT_FAILED)
        if found["status"] == "cancelled":
            stop(f"{request_id} was cancelled.", EXIT_FAILED)
        if found["status"] != "succeeded":
            stop(
                f"Not finished: {state(client.status(request_id))}. Add --wait to wait for it.",
                EXIT_TRY_AGAIN,
            )
        addresses = urls(found)
        if output:
            output.write_bytes(client.download(addresses[0]))
            addresses[0] = str(output)
        if not as_json:
            click.echo("\n".join(addresses))


def _wait(client: Client, request_id: str) -> None:
    try:
        with err.status("Waiting") as spinner:
            client.wait(request_id, lambda now: spinner.update(state(now)))
    except KeyboardInterrupt:
        stop(f"Interrupted; {request_id} goes on: safelight result {request_id}", EXIT_INTERRUPTED)


@click.command()
@request_id
@click.option("--running", is_flag=True, help="Also when it runs: it ends at its next step.")
@as_json
def cancel(request_id: str, running: bool, as_json: bool) -> None:
    """Take a request out of the queue; 1 when it is too late for that."""
    with plain_errors(), open_client() as client:
        asked = {"running": "true"} if running else {}
        found = client.ask("POST", f"/v1/requests/{request_id}/cancel", params=asked)
        if as_json:
            print_json(found)
        if found["outcome"] == "not_cancellable":
            stop(f"Not cancelled: {found['status'].replace('_', ' ')}.", EXIT_FAILED)
        if not as_json:
            click.echo(found["outcome"].replace("_", " ").capitalize())


@click.group()
def requests() -> None:
    """The requests that were sent with this account."""


@requests.command("list")
@click.option(
    "--status", "status_", help="Only those that are: in_queue, in_progress, succeeded, failed, cancelled."
)
@click.option("--model", "model_id", help="Only those of this model.")
@click.option("--limit", type=click.IntRange(1, 100), help="How many; default 20.")
@click.option("--cursor", help="Where the last list ended, as it says.")
@as_json
def list_(
    status_: str | None, model_id: str | None, limit: int | None, cursor: str | None, as_json: bool
) -> None:
    """List requests, the newest first."""
    wanted = {"status": status_, "model_id": model_id, "limit": limit, "cursor": cursor}
    with plain_errors(), open_client() as client:
        given = {name: value for name, value in wanted.items() if value is not None}
        found = client.ask("GET", "/v1/requests", params=given)
        if as_json:
            print_json(found)
            return
        columns = ("request_id", "status", "model_id", "created_at")
        print_rows(columns, [[one.get(name) for name in columns] for one in found["requests"]])
        if found.get("next_cursor"):
            err.print(f"More: --cursor {found['next_cursor']}", soft_wrap=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=False))
@as_json
def upload(file: Path, as_json: bool) -> None:
    """Put a file on the server and print its URL, for image fields."""
    try:
        content = file.expanduser().read_bytes()
    except OSError as error:
        raise click.FileError(str(file), error.strerror or "cannot be read") from None
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with plain_errors(), open_client() as client:
        found = client.ask("POST", "/v1/files", content=content, headers={"content-type": kind})
        if as_json:
            print_json(found)
        else:
            click.echo(found["url"])
