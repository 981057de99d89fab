"""The examples that ship with Safelight, with their pictures inside."""

from __future__ import annotations

from safelight import examples
from safelight.arguments import data_uri
from safelight.examples import Example
from safelight.jobs import Json

EXAMPLES = examples.FOLDER


def read_examples() -> list[Example]:
    """All of them, in their order."""
    return examples.read_examples(EXAMPLES)


def body(example: Example) -> Json:
    """The input as the demo sends it: files as data URIs."""
    return example.with_pictures(data_uri)
