"""Start the server, send it real requests over HTTP, keep the images, and leave it running.

    make demo          (DEMO_EXIT=1 make demo ends after the table; so does one without a terminal)

The requests are those of `examples/`; images, a contact sheet and the server's log go to `demo/`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from safelight.client import APIError, Client, ConnectionFailed, RequestCancelled, RequestFailed
from safelight.examples import Example
from safelight.jobs import Json
from safelight.settings import Settings, read_settings
from scripts.examples import body, read_examples
from scripts.server import server
from scripts.sheet import Drawn, draw_sheet

ROOT = Path(__file__).parent.parent
OUT = ROOT / "demo"

console = Console(highlight=False)


def main() -> None:
    """Run the demo. Exits with 1 when a request failed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    OUT.mkdir(exist_ok=True)
    settings = read_settings(data_dir=OUT / ".data", port=_port())
    outcomes: list[Outcome] = []
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        with console.status("Starting the server"):
            url = stack.enter_context(server(settings, OUT / "server.log"))
        with Client(url, _key(settings)) as client:
            outcomes = _run_examples(client)
        _show(outcomes)
        _leave_running(url, settings)
    sys.exit(0 if outcomes and all(outcome.drawn for outcome in outcomes) else 1)


# --- Where it listens ------------------------------------------------------------------------------------


def _port() -> int:
    """The port that is set, else 8000, else a free one."""
    if "SAFELIGHT_PORT" in os.environ:
        return read_settings().port
    for port in (8000, 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as trial:
            return int(trial.getsockname()[1])
    sys.exit("This machine has no free port.")


def _key(settings: Settings) -> str:
    return settings.api_key.get_secret_value() if settings.api_key else settings.saved_key


# --- The requests ---------------------------------------------------------------------------------------


def _run_examples(client: Client) -> list[Outcome]:
    """Send the examples of every ready model, all at once, and wait for each."""
    ready = {model["model_id"] for model in client.models() if model["ready"]}
    examples = [example for example in read_examples() if example.model in ready]
    for model in sorted(ready - {example.model for example in examples}):
        console.print(f"[yellow]{escape(model)} is ready, and examples/ has no request for it.[/]")
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        sent = [
            (example, _send(client, example), progress.add_task(escape(example.name), total=None))
            for example in examples
        ]
        return [_outcome(client, *one, progress) for one in sent]


@dataclass(frozen=True)
class Outcome:
    """What became of one request: an image, or an error's message."""

    example: Example
    drawn: Drawn | None = None
    result: Json | None = None
    error: str = ""

    def row(self) -> tuple[str, str, str, str]:
        """Its line in the table."""
        if self.drawn is None or self.result is None:
            return (
                escape(self.example.model),
                "",
                "",
                f"[red]{escape(self.example.name)}: {escape(self.error)}[/]",
            )
        seconds = sum(self.result["timings"].values())
        return escape(self.example.model), self.result["weights"], f"{seconds:.1f}", _near(self.drawn.output)


def _send(client: Client, example: Example) -> str | APIError | ConnectionFailed:
    try:
        return client.submit(example.model, body(example)).request_id
    except (APIError, ConnectionFailed) as error:
        return error


def _outcome(
    client: Client,
    example: Example,
    sent: str | APIError | ConnectionFailed,
    line: TaskID,
    progress: Progress,
) -> Outcome:
    """Wait for a request and save its image."""

    def show(status: Json) -> None:
        state = status["status"].replace("_", " ")
        progress.update(line, description=f"{escape(example.name)}: {state}")

    try:
        if not isinstance(sent, str):
            raise sent
        result = client.wait(sent, show)
        url = result["output"].get("image") or result["output"]["images"][0]
        path = OUT / f"{example.name}.{url.rpartition('.')[2]}"
        path.write_bytes(client.download(url))
    except (APIError, ConnectionFailed, RequestFailed, RequestCancelled) as error:
        return Outcome(example, error=str(error))
    finally:
        progress.remove_task(line)
    return Outcome(example, Drawn(example.model, example.input, tuple(example.pictures()), path), result)


# --- The end --------------------------------------------------------------------------------------------


def _show(outcomes: list[Outcome]) -> None:
    table = Table("model", "weights", "seconds", "file", box=None, pad_edge=False)
    for outcome in outcomes:
        table.add_row(*outcome.row())
    console.print(table)
    if drawn := [outcome.drawn for outcome in outcomes if outcome.drawn]:
        draw_sheet(drawn, OUT / "sheet.png")
        console.print(f"\nAll of them, beside what was asked: {_near(OUT / 'sheet.png')}")


def _leave_running(url: str, settings: Settings) -> None:
    """Tell where the server is; on a terminal wait until Ctrl-C."""
    key = "SAFELIGHT_API_KEY" if settings.api_key else _near(settings.key_file)
    if sys.stdout.isatty() and os.environ.get("DEMO_EXIT") != "1":
        console.print(
            f"\nThe server runs at [cyan]{url}[/] until Ctrl-C; its key is in {key}.", soft_wrap=True
        )
        signal.pause()
    else:
        console.print(f"\nThe server ran at {url}; its key is in {key}.", soft_wrap=True)


def _near(path: Path) -> str:
    return escape(os.path.relpath(path))


if __name__ == "__main__":
    main()
