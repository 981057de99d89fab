"""A real Chromium for tests, and what no page of ours may do in it.

Playwright keeps an event loop running in the thread that uses it: a module's browser is closed with the
module, before tests with loops of their own come.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = (
    "No Chromium was found, so the browser tests were left out. To run them: apt-get install chromium, or "
    "python -m playwright install chromium"
)
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 800},
    "color_scheme": "dark",
    "has_touch": True,
    "is_mobile": True,
}


def chromium_path() -> str | None:
    """The system's Chromium, else Playwright's own, else nothing."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if os.path.exists(own) else None


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """The browser at this path, until the block ends."""
    with sync_playwright() as playwright:
        # Root has no sandbox of its own to drop privileges into; small containers have a small /dev/shm.
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page whose misdeeds are kept: errors on the console, exceptions, requests to other origins."""

    page: Page
    misdeeds: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of messages that are meant, such as the 404 of a page that is looked at on purpose."""

    def note_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._note(f"console: {message.text} ({message.location.get('url')})")

    def note_request(self, request: Request) -> None:
        here, there = urlsplit(self.page.url), urlsplit(request.url)
        if there.scheme in {"http", "https", "ws"} and here.netloc and here.netloc != there.netloc:
            self._note(f"foreign request: {request.url}")

    def note_exception(self, error: Exception) -> None:
        self._note(f"exception: {error}")

    def _note(self, misdeed: str) -> None:
        if not any(part in misdeed for part in self.expected):
            self.misdeeds.append(misdeed)


@contextmanager
def watched_page(context: BrowserContext) -> Iterator[Watched]:
    """A new page; at the end of the block it must have done nothing wrong."""
    page = context.new_page()
    page.set_default_timeout(60_000)  # A busy machine is no failure.
    watched = Watched(page)
    page.on("console", watched.note_console)
    page.on("pageerror", watched.note_exception)
    page.on("request", watched.note_request)
    yield watched
    page.close()
    assert watched.misdeeds == []


def axe_violations(page: Page) -> list[str]:
    """What the accessibility checker finds, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:150]}" for one in found for node in one["nodes"]]


def is_wider_than_its_window(page: Page) -> bool:
    """Whether a phone would have to scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def left_in_english(page: Page) -> list[str]:
    """Texts of a Korean page, visible or told to a screen reader, without a Korean letter in them.

    What is meant to stay (names, ids, code) is marked `translate="no"`; abbreviations need no mark.
    """
    return [text for text in _texts(page) if _words(text) and not _has_hangul(text)]


def left_in_korean(page: Page) -> list[str]:
    """The same for an English page."""
    return [text for text in _texts(page) if _has_hangul(text)]


def _has_hangul(text: str) -> bool:
    return any("가" <= letter <= "힣" for letter in text)


def _words(text: str) -> list[str]:
    words = "".join(letter if letter.isascii() and letter.isalpha() else " " for letter in text).split()
    return [word for word in words if len(word) > 1 and not word.isupper() and word not in {"LoRA", "LoRAs"}]


def _texts(page: Page) -> list[str]:
    return list(page.evaluate(_COLLECT))


_COLLECT = """() => {
  const found = [document.title.split(" · ")[0]];
  const isKept = (element) => element.closest('[translate="no"], script, style, noscript, textarea');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    if (text && !isKept(walker.currentNode.parentElement)) found.push(text);
  }
  for (const name of ["aria-label", "title", "placeholder", "alt", "aria-description"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      if (element.getAttribute(name) && !isKept(element)) found.push(element.getAttribute(name));
    }
  }
  return found;
}"""
