"""The words of the pages: one catalogue, a module per page, every text in every language."""

from __future__ import annotations

from safelight.texts import Language, Text
from safelight.web.texts import (
    catalogue,
    common,
    device,
    docs,
    errors,
    limits,
    login,
    money,
    operator,
    password,
    playground,
    profile,
)

_PAGES = (
    catalogue,
    common,
    device,
    docs,
    errors,
    limits,
    login,
    money,
    operator,
    password,
    playground,
    profile,
)

ALL: dict[str, Text] = {
    f"{page.__name__.rpartition('.')[2]}.{key}": text for page in _PAGES for key, text in page.TEXTS.items()
}
"""Every text by its key: the module's name, a dot, the name in it."""


def under(page: str, language: Language) -> dict[str, str]:
    """The texts of one page in one language, by the name within it."""
    prefix = f"{page}."
    return {
        key.removeprefix(prefix): text.within(language) for key, text in ALL.items() if key.startswith(prefix)
    }
