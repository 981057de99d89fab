"""What commands share: data goes to stdout, everything else to stderr; exit codes follow sysexits."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from safelight.logins import saved_login
from safelight.settings import Settings, local_url, read_settings

if TYPE_CHECKING:
    from safelight.client import Client

EXIT_FAILED = 1
EXIT_USAGE = 64
EXIT_DATA = 65
EXIT_NO_FILE = 66
EXIT_SERVER = 69
EXIT_TRY_AGAIN = 75
EXIT_AUTH = 77
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what is expected to go wrong into one line on stderr and an exit code."""
    from safelight.client import APIError, ConnectionFailed, RequestCancelled, RequestFailed
    from safelight.errors import SafelightError, SettingsError

    try:
        yield
    except SettingsError as error:
        stop(error.message, EXIT_CONFIG)
    except APIError as error:
        details = [f"{problem['field']}: {problem['message']}" for problem in error.fields]
        stop("\n".join(details) or error.message, _exit_code(error.http_status))
    except ConnectionFailed as error:
        stop(f"{error} Start one with: safelight serve", EXIT_SERVER)
    except (RequestFailed, RequestCancelled) as error:
        stop(str(error), EXIT_FAILED)
    except SafelightError as error:
        stop(error.message, EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def stop(message: str, code: int) -> NoReturn:
    """End the command with a line on stderr."""
    err.print(f"[red]safelight:[/] {escape(message)}", soft_wrap=True)
    sys.exit(code)


def _exit_code(http_status: int) -> int:
    if http_status in {401, 403}:
        return EXIT_AUTH
    if http_status in {429, 503, 507}:
        return EXIT_TRY_AGAIN
    return EXIT_DATA if 400 <= http_status < 500 else EXIT_SERVER


def open_client() -> Client:
    """A client for the server and the key that the settings name."""
    from safelight.client import Client

    settings = read_settings()
    return Client(server_url(settings), api_key(settings))


def server_url(settings: Settings) -> str:
    """The server to talk to: the one that is set, else the one of `login`, else this machine's."""
    known = saved_login(settings.login_file)
    return settings.base_url or (known.base_url if known else local_url(settings.host, settings.port))


def api_key(settings: Settings) -> str:
    """The key to send: the one that is set, else that of `login`, else the one that the first start saved.

    What `login` keeps is sent to its own server alone.
    """
    if settings.api_key:
        return settings.api_key.get_secret_value()
    known = saved_login(settings.login_file)
    return known.api_key if known and known.base_url == server_url(settings) else settings.saved_key


def print_json(value: object) -> None:
    """Print data for programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_rows(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people; where nobody looks, a line of tab-separated values for each row."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not out.is_terminal:
        for row in texts:
            click.echo("\t".join(row))
        return
    table = Table(*names, box=None, pad_edge=False)
    for row in texts:
        table.add_row(*map(escape, row))
    out.print(table)
