"""From the catalogue to a result drawn by the nano weights, as somebody does it for the first time."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import DESKTOP, PHONE, axe_violations, left_in_english, left_in_korean, watched_page
from tests.playground import Playground, log_in, picture_file
from tests.serving import Served, served

WORDS = {
    "en": {
        "recall": "Recall settings",
        "undo": "Undo",
        "eraser": "Eraser",
        "invert": "Invert",
        "copy": "Copy",
    },
    "ko": {
        "recall": "설정 불러오기",
        "undo": "실행 취소",
        "eraser": "지우개",
        "invert": "반전",
        "copy": "복사",
    },
}
DRAWN_MS = 300_000
"""A busy machine draws slowly."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`safelight serve` with the models that ship."""
    with served(tmp_path_factory.mktemp("real") / "data") as running:
        yield running


@pytest.mark.parametrize(
    ("language", "device"), [("en", DESKTOP), ("ko", DESKTOP), ("ko", PHONE)], ids=["en", "ko", "phone"]
)
def test_a_picture_is_repainted(
    browser: Browser, serving: Served, tmp_path: Path, language: str, device: dict[str, Any]
):
    words = WORDS[language]
    context = browser.new_context(base_url=serving.url, **device)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(context, serving.url, serving.key)
    with watched_page(context) as watched:
        watched.expected = ["/v1/files"]
        page = watched.page
        playground = Playground(page)
        page.goto(f"/?lang={language}")
        page.get_by_role("link", name="Z-Image Turbo Inpainting + LoRA").click()
        page.wait_for_selector(".mask-state.is-there")
        playground.choose(picture_file(tmp_path, 256, 256))

        playground.stroke((0.2, 0.4), (0.8, 0.4))
        playground.tool(words["eraser"]).click()
        playground.stroke((0.5, 0.2), (0.5, 0.6))
        assert not playground.painted(0.5, 0.4)
        playground.tool(words["undo"]).click()
        assert playground.painted(0.5, 0.4)
        playground.tool(words["invert"]).click()
        assert not playground.painted(0.5, 0.4)

        playground.prompt.fill("a red balloon on grass on a 'sunny' day")
        page.locator("#field-num_inference_steps").fill("6")
        playground.run()
        page.wait_for_selector("img.preview", timeout=DRAWN_MS)
        expect(page.get_by_role("progressbar")).to_have_attribute("value", re.compile(r"[1-6]"))
        page.wait_for_selector(".compare", timeout=DRAWN_MS)
        for checked in (axe_violations, left_in_english if language == "ko" else left_in_korean):
            assert checked(page) == []

        page.locator(".compare input").fill("20")
        expect(page.locator(".compare")).to_have_attribute("style", re.compile("20%"))
        playground.prompt.fill("something else")
        page.get_by_role("button", name=words["recall"]).click()
        expect(playground.prompt).to_have_value(re.compile("'sunny'"))
        assert not playground.painted(0.5, 0.4)
        assert playground.painted(0.5, 0.9)

        playground.code()
        page.locator("details.form-code").get_by_role("button", name=words["copy"]).click()
        script = page.evaluate("navigator.clipboard.readText()")
        environment = {"PATH": os.environ["PATH"], "YOUR_API_TOKEN": serving.key}
        answer = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, check=True)
        assert b'"request_id"' in answer.stdout, answer.stdout
    context.close()
