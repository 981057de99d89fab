"""`serve` and `worker`: the commands that run the server's own processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from safelight.commands.shared import plain_errors
from safelight.settings import WeightsChoice, read_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def server_options(command: Command) -> Command:
    """The flags that `serve` and `worker` share, on top of environment and file."""
    for option in (
        click.option(
            "--data-dir", type=click.Path(path_type=Path), help="Folder of everything that is kept."
        ),
        click.option("--database-url", help="postgresql://…; default: SQLite in the data folder."),
        click.option("--weights", type=click.Choice([choice.value for choice in WeightsChoice])),
        click.option("--device", help="auto, cpu, cuda or cuda:N."),
        click.option(
            "--models-dir", type=click.Path(path_type=Path), help="A folder of your own model files."
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (8000); 0 takes a free one.")
@click.option("--public-url", help="Base of the URLs in answers.")
@click.option("--workers", type=int, help="Workers for each GPU, or for the CPU (1); 0 starts none.")
@server_options
def serve(**flags: Any) -> None:
    """Start the server and its workers on this machine."""
    with plain_errors():
        from safelight.serve import serve as run

        run(read_settings(**flags))


@click.command()
@server_options
def worker(**flags: Any) -> None:
    """Run one worker; `serve` starts its own."""
    with plain_errors():
        import uvloop

        from safelight.launch import run_worker

        uvloop.run(run_worker(read_settings(**flags)))
