"""The requests of `examples/requests.json`, ready to be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight.arguments import data_uri
from safelight.jobs import Json

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class Example:
    """One request: its name, the model, and the input, which names files of `examples/` as its images."""

    name: str
    model: str
    input: Json

    def body(self) -> Json:
        """The input as it is sent: files as data URIs."""
        return {field: _inlined(value) for field, value in self.input.items()}

    def picture(self) -> Path | None:
        """The first image of the input."""
        return next((EXAMPLES / value for value in self._values() if _is_file(value)), None)

    def _values(self) -> Iterator[Any]:
        for value in self.input.values():
            yield from value if isinstance(value, list) else [value]


def read_examples() -> list[Example]:
    """All of them, in their order."""
    return [Example(**entry) for entry in json.loads((EXAMPLES / "requests.json").read_text("utf-8"))]


def _inlined(value: Any) -> Any:
    if isinstance(value, list):
        return [_inlined(one) for one in value]
    return data_uri(EXAMPLES / value) if _is_file(value) else value


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and Path(value).name == value and (EXAMPLES / value).is_file()
