"""From `field=value` on the command line to the JSON input of a model, by the model's published schema."""

from __future__ import annotations

import base64
import json
import mimetypes
from pathlib import Path
from typing import Any

import click

from safelight.jobs import Json


def read_fields(pairs: tuple[str, ...], schema: Json) -> Json:
    """Turn `prompt="a red house" num_inference_steps=4 image_url=@photo.png` into an input.

    A value that starts with @ is a file, sent as a data URI. Raises click.UsageError, and
    click.FileError for a file that cannot be read.
    """
    return dict(_read_pair(pair, schema["properties"]) for pair in pairs)


def _read_pair(pair: str, properties: Json) -> tuple[str, Any]:
    name, separator, text = pair.partition("=")
    if not separator:
        raise click.UsageError(f"{pair!r} is no field=value.")
    return name, _value(name, text, properties.get(name, {}).get("type", "string"))


def _value(name: str, text: str, kind: str) -> Any:
    if kind == "array":
        items = _parsed(name, text, kind) if text.startswith("[") else text.split(",")
        return [_file_or_text(item) if isinstance(item, str) else item for item in items]
    return _parsed(name, text, kind) if kind in _KINDS else _file_or_text(text)


def _parsed(name: str, text: str, kind: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise click.UsageError(f"{name} must be {_KINDS[kind]}; got {text[:100]!r}.") from None


_KINDS = {
    "integer": "an integer",
    "float": "a number",
    "boolean": "true or false",
    "array": "a JSON list, or its items with commas between them",
}


def _file_or_text(text: str) -> str:
    return data_uri(Path(text[1:])) if text.startswith("@") else text


def data_uri(path: Path) -> str:
    """A file as a data URI, its type by its name."""
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise click.FileError(str(path), error.strerror or "cannot be read") from None
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
