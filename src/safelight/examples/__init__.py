"""Requests to try a model with, and their input pictures, which every server gives out by itself.

A picture's address, such as `http://127.0.0.1:8000/examples/house-edges.png`, works in any image field of
that server: an example can be pasted and run with no network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from safelight.jobs import Json

FOLDER = Path(__file__).parent
PATH = "/examples/"
"""Where the pictures are on every server."""


@dataclass(frozen=True)
class Example:
    """One request: its name, the model, and the input, which names files of `folder` as its images."""

    name: str
    model: str
    input: Json
    folder: Path = FOLDER

    def body(self, base_url: str) -> Json:
        """The input as it is sent to the server there."""
        return self.with_pictures(lambda path: f"{base_url}{PATH}{path.name}")

    def with_pictures(self, replace: Callable[[Path], str]) -> Json:
        """The input with every picture's file name replaced by what `replace` makes of its path."""

        def value_of(value: Any) -> Any:
            if isinstance(value, list):
                return [value_of(one) for one in value]
            return replace(self.folder / value) if self._is_picture(value) else value

        return {name: value_of(value) for name, value in self.input.items()}

    def pictures(self) -> Iterator[Path]:
        """The input's pictures, in its order."""
        for value in self.input.values():
            for one in value if isinstance(value, list) else [value]:
                if self._is_picture(one):
                    yield self.folder / one

    def _is_picture(self, value: Any) -> bool:
        return isinstance(value, str) and Path(value).name == value and (self.folder / value).is_file()


def read_examples(folder: Path = FOLDER) -> list[Example]:
    """All of them, in their order."""
    entries = json.loads((folder / "requests.json").read_text("utf-8"))
    return [Example(**entry, folder=folder) for entry in entries]


@cache
def examples_of(model_id: str) -> tuple[Example, ...]:
    """Those of one model."""
    return tuple(example for example in read_examples() if example.model == model_id)


@cache
def picture(name: str) -> bytes | None:
    """A picture's bytes; None: there is none of this name."""
    known = {path.name for path in FOLDER.glob("*.png")}
    return (FOLDER / name).read_bytes() if name in known else None
