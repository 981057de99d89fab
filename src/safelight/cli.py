"""The commands. Data goes to stdout, everything else to stderr; exit codes follow sysexits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console
from rich.markup import escape

from safelight import __version__
from safelight.jobs import Json
from safelight.settings import Settings, WeightsChoice, local_url, read_settings

EXIT_FAILED = 1
EXIT_DATA = 65
EXIT_SERVER = 69
EXIT_TRY_AGAIN = 75
EXIT_AUTH = 77
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130

Command = TypeVar("Command", bound=Callable[..., Any])

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def main() -> None:
    """Run a command; every expected failure ends in one line and an exit code."""
    click.UsageError.exit_code = 64
    click.FileError.exit_code = 66
    cli.main(prog_name="safelight")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="safelight")
def cli() -> None:
    """A self-hosted Model API for image generation."""


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


@cli.command()
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


@cli.command()
@server_options
def worker(**flags: Any) -> None:
    """Run one worker; `serve` starts its own."""
    with plain_errors():
        import uvloop

        from safelight.launch import run_worker

        uvloop.run(run_worker(read_settings(**flags)))


@cli.command()
@click.argument("model")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]…")
@click.option("--input", "input_json", help="The whole input as JSON.")
@click.option("--input-file", type=click.File("r"), help="A file with the input as JSON; - is stdin.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Save the image here.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
def run(
    model: str,
    fields: tuple[str, ...],
    input_json: str | None,
    input_file: Any,
    output: Path | None,
    as_json: bool,
) -> None:
    """Send one request, wait for it, print the image's URL.

    \b
    safelight run tongyi-mai/z-image/turbo/controlnet/lora \\
        prompt="a red house on snow at night" image_url=@edges.png loras=[] -o house.png

    A value that starts with @ is a file.
    """
    from safelight.arguments import read_fields

    if output and not output.absolute().parent.is_dir():
        raise click.UsageError(f"There is no folder for {output}.")
    with plain_errors(), _client() as client:
        body = _read_input(input_json, input_file)
        if fields:
            body |= read_fields(fields, client.model(model)["input_schema"])
        result = _run_and_watch(client, model, body)
        urls = _urls(result)
        if output:
            output.write_bytes(client.download(urls[0]))
            urls[0] = str(output)
        click.echo(json.dumps(result, ensure_ascii=False, indent=2) if as_json else "\n".join(urls))


@cli.command()
def doctor() -> None:
    """Look at this machine and say what works."""
    with plain_errors():
        import logging

        import structlog

        from safelight.doctor import Verdict, examine

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        settings = read_settings()
        colours = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}
        problems = 0
        for finding in examine(settings, _base_url(settings), _api_key(settings)):
            mark = f"[{colours[finding.verdict]}]{finding.verdict:<8}[/]"
            out.print(f"{mark} {escape(finding.subject)}: {escape(finding.message)}", soft_wrap=True)
            problems += finding.verdict is Verdict.BAD
        sys.exit(EXIT_FAILED if problems else 0)


# --- What the commands share ----------------------------------------------------------------------------


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what is expected to go wrong into one line on stderr and an exit code."""
    from safelight.client import APIError, ConnectionFailed, RequestCancelled, RequestFailed
    from safelight.errors import SafelightError, SettingsError

    try:
        yield
    except SettingsError as error:
        _stop(error.message, EXIT_CONFIG)
    except APIError as error:
        details = [f"{problem['field']}: {problem['message']}" for problem in error.fields]
        _stop("\n".join(details) or error.message, _exit_code(error.http_status))
    except ConnectionFailed as error:
        _stop(f"{error} Start one with: safelight serve", EXIT_SERVER)
    except (RequestFailed, RequestCancelled) as error:
        _stop(str(error), EXIT_FAILED)
    except SafelightError as error:
        _stop(error.message, EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _stop(message: str, code: int) -> NoReturn:
    err.print(f"[red]safelight:[/] {escape(message)}", soft_wrap=True)
    sys.exit(code)


def _exit_code(http_status: int) -> int:
    if http_status in {401, 403}:
        return EXIT_AUTH
    if http_status in {429, 503, 507}:
        return EXIT_TRY_AGAIN
    return EXIT_DATA if 400 <= http_status < 500 else EXIT_SERVER


def _read_input(text: str | None, file: Any) -> Json:
    raw = text if text is not None else file.read() if file else "{}"
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise click.UsageError(f"The input is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise click.UsageError("The input must be a JSON object.")
    return body


def _base_url(settings: Settings) -> str:
    return settings.base_url or local_url(settings.host, settings.port)


def _api_key(settings: Settings) -> str:
    """The key to send: the one that is set, else the one that the first start saved on this machine."""
    return settings.api_key.get_secret_value() if settings.api_key else settings.saved_key


def _client() -> Any:
    from safelight.client import Client

    settings = read_settings()
    return Client(_base_url(settings), _api_key(settings))


def _run_and_watch(client: Any, model: str, body: Json) -> Json:
    """Submit, show the state until it ends; Ctrl-C cancels on the server where that is possible."""
    request_id = client.submit(model, body).request_id
    try:
        with err.status("Sent") as status:
            result: Json = client.wait(request_id, lambda now: status.update(_state(now)))
            return result
    except KeyboardInterrupt:
        outcome = client.cancel(request_id)["outcome"]
        left = "cancelled" if outcome == "cancelled" else "it is running and will finish on the server"
        _stop(f"Interrupted; request {request_id}: {left}.", EXIT_INTERRUPTED)


def _state(status: Json) -> str:
    if status["status"] == "in_queue":
        return f"In the queue, {status['queue_position']} ahead"
    return str(status["status"]).replace("_", " ").capitalize()


def _urls(result: Json) -> list[str]:
    output = result["output"]
    return [output["image"]] if "image" in output else list(output["images"])
