"""Somebody with a browser, for scripts that look at the pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from safelight.texts import Language
from safelight.web import texts


@dataclass(frozen=True)
class View:
    """What a scene is looked at with."""

    name: str
    language: Language
    window: dict[str, Any]


VIEWS = (
    View("desk", Language.EN, {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"}),
    View(
        "phone",
        Language.KO,
        {
            "viewport": {"width": 390, "height": 800},
            "device_scale_factor": 2,
            "color_scheme": "dark",
            "is_mobile": True,
            "has_touch": True,
        },
    ),
)


@dataclass(frozen=True)
class Visitor:
    """Somebody with a browser, who knows what buttons are called in their language."""

    page: Page
    view: View

    def words(self, key: str) -> str:
        """A text of the pages."""
        return texts.ALL[key].within(self.view.language)

    def go(self, path: str) -> None:
        """Open a page in this view's language."""
        address, _, anchor = path.partition("#")
        mark = "&" if "?" in address else "?"
        self.page.goto(f"{address}{mark}lang={self.view.language}{'#' if anchor else ''}{anchor}")

    def press(self, key: str) -> None:
        """Press a button by the key of its text."""
        self.page.get_by_role("button", name=self.words(key), exact=True).first.click()
