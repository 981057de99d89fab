"""Take a picture of every page and state, into `docs/screens/`, to look at whenever something has changed.

    make screens                          (python -m scripts.screens [NAME …] takes some of them)

A server of its own draws with the nano weights: what is shown is what it does. Each scene is taken as on a
desk (English, light) and as on a phone (Korean, dark).
"""

from __future__ import annotations

import io
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from safelight.settings import Settings, read_settings
from scripts.past import KEYS, make_past
from scripts.scenes import SCENES
from scripts.server import free_port, server
from scripts.visitor import VIEWS, View, Visitor

OUT = Path(__file__).parents[1] / "docs" / "screens"
QUALITY = 80
PATIENCE_MS = 600_000
"""The first picture waits for the worker to load everything, on a busy machine for minutes."""


def main(wanted: list[str]) -> None:
    """Take the pictures."""
    OUT.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and with it the server
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(data_dir=Path(folder) / "data", port=free_port())
        make_past(settings)
        _take(settings, Path(folder) / "log", wanted)


def _take(settings: Settings, log: Path, wanted: list[str]) -> None:
    console = Console(highlight=False)
    with sync_playwright() as playwright:
        prices = {"SAFELIGHT_PRICING": '{"default": {"usd": 0.01}}', "SAFELIGHT_API_KEY": KEYS["owner"]}
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        with server(settings, log, prices) as url:
            for name, scene in SCENES.items():
                for view in VIEWS if not wanted or name in wanted else ():
                    with _visitor(browser, url, view, scene.who) as visitor:
                        scene.play(visitor)
                        path = OUT / f"{name}-{view.name}.webp"
                        _save(visitor.page.screenshot(), path)
                        console.print(f"{path.name}  {path.stat().st_size // 1024} KB")
        browser.close()


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def _visitor(browser: Browser, url: str, view: View, who: str) -> Iterator[Visitor]:
    context = browser.new_context(base_url=url, **view.window)
    if who:
        origin = {"origin": url}
        context.request.post(f"{url}/login", form={"key": KEYS[who]}, headers=origin, max_redirects=0)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield Visitor(page, view)
    context.close()


def _save(shot: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)


if __name__ == "__main__":
    main(sys.argv[1:])
