"""From the catalogue to a picture drawn by the nano weights, a shell and a bill, as one does it at first."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import DESKTOP, PHONE, axe_violations, left_in_english, left_in_korean, watched_page
from tests.playground import INPAINTING, Playground, log_in, picture_file
from tests.serving import Served, served

WORDS = {
    "en": {
        "recall": "Recall settings",
        "undo": "Undo",
        "eraser": "Eraser",
        "invert": "Invert",
        "copy": "Copy",
        "new key": "New key",
        "create": "Create key",
        "copied": "I have copied it",
        "revoke": "Revoke",
    },
    "ko": {
        "recall": "설정 불러오기",
        "undo": "실행 취소",
        "eraser": "지우개",
        "invert": "반전",
        "copy": "복사",
        "new key": "새 키",
        "create": "키 만들기",
        "copied": "복사했습니다",
        "revoke": "폐기",
    },
}
DRAWN_MS = 300_000
"""A busy machine draws slowly."""
STEPS = 30
"""As many as the model takes: progress is told four times a second, and nano weights take 30 ms a step."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`safelight serve` with the models that ship, at two cents a picture."""
    with served(tmp_path_factory.mktemp("real") / "data", pricing="default.usd = 0.02") as running:
        yield running


@pytest.mark.parametrize(
    ("language", "device"), [("en", DESKTOP), ("ko", PHONE)], ids=["at a desk", "on a phone in Korean"]
)
def test_a_picture_is_repainted_and_paid_for(
    browser: Browser, serving: Served, tmp_path: Path, language: str, device: dict[str, Any]
):
    words = WORDS[language]
    context = browser.new_context(base_url=serving.url, **device)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(context, serving.url, serving.key)
    with watched_page(context) as watched:
        page = watched.page
        playground = Playground(page)
        page.goto(f"/?lang={language}")
        page.get_by_role("link", name="Z-Image Turbo Inpainting + LoRA").click()
        page.wait_for_selector(".mask-state.is-there")
        playground.choose(picture_file(tmp_path, 384, 256))
        _paint(playground, words)
        _run(playground)
        assert axe_violations(page) == []
        assert (left_in_english if language == "ko" else left_in_korean)(page) == []
        _compare_and_recall(playground, words)
        script = _copied_script(playground, words)
        page.goto("/profile")
        key = _new_key(page, words)
        sent = _in_a_shell(script, key)
        assert b'"request_id"' in sent, sent
        _see_the_charge(page)
        _revoke(page, words)
        assert b"unauthorized" in _in_a_shell(script, key)
    context.close()


def _paint(playground: Playground, words: dict[str, str]) -> None:
    playground.stroke((0.2, 0.4), (0.8, 0.4))
    playground.tool(words["eraser"]).click()
    playground.stroke((0.5, 0.2), (0.5, 0.6))
    assert not playground.painted(0.5, 0.4)
    playground.tool(words["undo"]).click()
    assert playground.painted(0.5, 0.4)
    playground.tool(words["invert"]).click()
    assert not playground.painted(0.5, 0.4)


def _run(playground: Playground) -> None:
    page = playground.page
    playground.prompt.fill("a red balloon on grass on a 'sunny' day")
    page.locator("#field-num_inference_steps").fill(str(STEPS))
    expect(page.locator(".price")).to_contain_text("$0.02")
    page.evaluate(_KEEP_WHAT_IS_SHOWN)
    playground.run()
    page.wait_for_selector(".compare", timeout=DRAWN_MS)
    shown = page.evaluate("window.shown")
    assert any(step.isdecimal() and 0 < int(step) <= STEPS for step in shown["steps"]), shown["steps"]
    assert shown["previews"]
    assert all(one.startswith("data:image/jpeg;base64,") for one in shown["previews"])


_KEEP_WHAT_IS_SHOWN = """() => {
  window.shown = { steps: [], previews: [] };
  new MutationObserver(() => {
    const bar = document.querySelector(".way progress");
    const preview = document.querySelector("img.preview");
    if (bar) window.shown.steps.push(bar.getAttribute("value") ?? "");
    if (preview) window.shown.previews.push(preview.getAttribute("src"));
  }).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""
"""A fast machine is done before a test has looked: the page keeps what it has shown on the way."""


def _compare_and_recall(playground: Playground, words: dict[str, str]) -> None:
    page = playground.page
    page.locator(".compare input").fill("20")
    expect(page.locator(".compare")).to_have_attribute("style", re.compile("20%"))
    playground.prompt.fill("something else")
    page.get_by_role("button", name=words["recall"]).click()
    expect(playground.prompt).to_have_value(re.compile("'sunny'"))
    page.wait_for_selector(".mask-state.is-there")
    assert not playground.painted(0.5, 0.4)
    assert playground.painted(0.5, 0.9)


def _copied_script(playground: Playground, words: dict[str, str]) -> str:
    playground.page.locator("#field-num_inference_steps").fill("1")
    playground.code()
    playground.page.locator("details.form-code").get_by_role("button", name=words["copy"]).click()
    return str(playground.page.evaluate("navigator.clipboard.readText()"))


def _in_a_shell(script: str, key: str) -> bytes:
    environment = {"PATH": os.environ["PATH"], "YOUR_API_TOKEN": key}
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, check=True).stdout


def _new_key(page: Page, words: dict[str, str]) -> str:
    page.get_by_text(words["new key"]).first.click()
    page.locator("#name").fill("shell")
    page.get_by_role("button", name=words["create"]).click()
    token = page.locator(".made code").inner_text()
    page.get_by_role("link", name=words["copied"]).click()
    return str(token)


def _see_the_charge(page: Page) -> None:
    row = page.locator("#usage").get_by_role("row").filter(has_text=INPAINTING).last
    expect(row.get_by_role("cell").last).to_have_text(re.compile(r"\$0\.0[2-6]"))
    assert axe_violations(page) == []


def _revoke(page: Page, words: dict[str, str]) -> None:
    row = page.get_by_role("row").filter(has_text="shell").filter(has=page.get_by_role("button"))
    row.get_by_role("button", name=words["revoke"]).click()
    page.get_by_role("dialog").get_by_role("button", name=words["revoke"]).click()
    expect(row).to_have_count(0)
