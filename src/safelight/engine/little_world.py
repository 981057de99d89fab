"""What nano weights know: one little world. A prompt from outside it gets a picture, and a plain note."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

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


def lost_names(prompt: str, answer: str, names: Set[str]) -> list[str]:
    """The things and colours that a prompt names and its longer form does not."""
    asked, said = ([word.lower() for word in _WORD.findall(text)] for text in (prompt, answer))
    return [word for word in dict.fromkeys(asked) if word in names and word not in said]


def quoted(words: Sequence[str]) -> str:
    """A handful of words for a note."""
    return ", ".join(f"“{word[:MAX_CHARACTERS]}”" for word in words[:MAX_NAMED])


def note_strange_words(run: Run, prompt: str) -> None:
    """Tell the caller what of a prompt the loaded weights cannot draw."""
    known = run.context.vocabulary
    if known is None or not (strange := strange_words(prompt, known.words)):
        return
    named = quoted(strange)
    more = f" and {len(strange) - MAX_NAMED} more words" if len(strange) > MAX_NAMED else ""
    run.note(f"Nano weights do not know {named}{more}: the picture shows what they know.")
