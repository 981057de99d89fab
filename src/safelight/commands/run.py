"""`run`: send one request and wait for its image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from safelight.commands.shared import EXIT_INTERRUPTED, err, open_client, plain_errors, print_json, stop
from safelight.jobs import Json

if TYPE_CHECKING:
    from safelight.client import Client


@click.command()
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
    with plain_errors(), open_client() as client:
        body = _read_input(input_json, input_file)
        if fields:
            body |= read_fields(fields, client.model(model)["input_schema"])
        result = _run_and_watch(client, model, body)
        found = urls(result)
        if output:
            output.write_bytes(client.download(found[0]))
            found[0] = str(output)
        if as_json:
            print_json(result)
        else:
            click.echo("\n".join(found))


def _read_input(text: str | None, file: Any) -> Json:
    raw = text if text is not None else file.read() if file else "{}"
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise click.UsageError(f"The input is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise click.UsageError("The input must be a JSON object.")
    return body


def _run_and_watch(client: Client, model: str, body: Json) -> Json:
    """Submit, show the state until it ends; Ctrl-C cancels on the server, also what runs."""
    request_id = client.submit(model, body).request_id
    try:
        with err.status("Sent") as status:
            return client.wait(request_id, lambda now: status.update(state(now)))
    except KeyboardInterrupt:
        told = client.ask("POST", f"/v1/requests/{request_id}/cancel", params={"running": "true"})
        stop(f"Interrupted; request {request_id}: {_LEFT[told['outcome']]}.", EXIT_INTERRUPTED)


_LEFT = {
    "cancelled": "cancelled",
    "cancelling": "it stops at its next step",
    "not_cancellable": "it had ended already",
}


def state(status: Json) -> str:
    """A request's status for people."""
    if status["status"] == "in_queue":
        return f"In the queue, {status['queue_position']} ahead"
    return str(status["status"]).replace("_", " ").capitalize()


def urls(result: Json) -> list[str]:
    """Where the images of a result are."""
    output = result["output"]
    return [output["image"]] if "image" in output else list(output["images"])
