"""What nano weights know: one little world. A prompt from outside it gets a picture, and a plain note."""

from __future__ import annotations

import re
from collections.abc import Set

from safelight.models.base import Run

MAX_NAMED = 5
MAX_CHARACTERS = 30

_SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "has",
        "have",
        "in",
        "into",
        "is",
        "it",
        "its",
        "near",
        "of",
        "on",
        "or",
        "over",
        "some",
        "the",
        "their",
        "there",
        "this",
        "to",
        "under",
        "with",
        "very",
    ]
)
_WORD = re.compile(r"[^\W_]+")


def strange_words(prompt: str, known: Set[str]) -> list[str]:
    """The words of a prompt, in their order, that are neither small nor known."""
    found = dict.fromkeys(word.lower() for word in _WORD.findall(prompt))
    return [word for word in found if word not in known and word not in _SMALL_WORDS]


def note_strange_words(run: Run, prompt: str) -> None:
    """Tell the caller what of a prompt the loaded weights cannot draw."""
    words = run.context.known_words
    if words is None or not (strange := strange_words(prompt, words)):
        return
    named = ", ".join(f"“{word[:MAX_CHARACTERS]}”" for word in strange[:MAX_NAMED])
    more = f" and {len(strange) - MAX_NAMED} more words" if len(strange) > MAX_NAMED else ""
    run.note(f"Nano weights do not know {named}{more}: the picture shows what they know.")
