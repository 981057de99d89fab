"""Words in the languages that Safelight speaks.

A text stands beside what it names (a field, a model), in every language at once, so that a model stays one
file and nothing can be left untranslated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    """A language of titles, descriptions and messages."""

    EN = "en"
    KO = "ko"


@dataclass(frozen=True)
class Text:
    """The same words in every language."""

    en: str
    ko: str

    def within(self, language: Language) -> str:
        """The words in one language."""
        return self.ko if language is Language.KO else self.en

    def after(self, beginning: str) -> Text:
        """The same words behind a name or a number that every language writes alike."""
        return Text(beginning + self.en, beginning + self.ko)


def as_text(words: Text | str) -> Text:
    """The same words in every language, where they are not known in each."""
    return words if isinstance(words, Text) else Text(words, words)


NOTHING = Text("", "")
"""A description that the schema leaves empty."""


def choose_language(query: str | None, accept_language: str | None) -> Language:
    """Pick the language of an answer: `?lang=` first, then `Accept-Language`, else English."""
    wishes = [query] if query else []
    wishes += _by_preference(accept_language or "")
    for wish in wishes:
        base = wish.strip().lower().split("-")[0]
        if base in set(Language):
            return Language(base)
    return Language.EN


def _by_preference(accept_language: str) -> list[str]:
    """The tags of an Accept-Language header, most wanted first; what is malformed counts as unwanted."""
    ranked: list[tuple[float, str]] = []
    for part in accept_language.split(",")[:20]:
        tag, _, weight = part.partition(";q=")
        try:
            ranked.append((float(weight or 1), tag))
        except ValueError:
            continue
    return [tag for _, tag in sorted(ranked, key=lambda item: -item[0])]


def readable_size(size_bytes: int) -> str:
    """An amount of bytes for people: `12.3 GB`, `480 kB`."""
    for unit, each in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= each:
            return f"{size_bytes / each:.1f} {unit}"
    return f"{size_bytes} bytes"
