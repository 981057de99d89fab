"""Every page in a real Chromium: desktop and phone, light and dark, English and Korean."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from safelight.accounts.accounts import FIRST_KEY, OWNER_ID
from safelight.texts import Language
from safelight.web import texts
from tests.api_server import OWNER_KEY, RunningServer
from tests.browser import (
    DESKTOP,
    PHONE,
    Watched,
    axe_violations,
    is_wider_than_its_window,
    left_in_english,
    left_in_korean,
    watched_page,
)

INPAINTING = "tongyi-mai/z-image/turbo/inpainting/lora"
PAGES = ("/", "/?search=inpaint", "/?search=zzz", f"/models/{INPAINTING}/api", "/login")
OWN_PAGES = (
    "/profile",
    "/device?code=ABCD-EFGH",
    "/operator",
    "/operator/accounts",
    "/operator/accounts/owner",
)
MISSING_PAGE = "/no-such-page"


def login(context: BrowserContext, server: RunningServer, key: str = OWNER_KEY) -> None:
    """Log in without looking."""
    headers = {"origin": server.url}
    context.request.post(f"{server.url}/login", form={"key": key}, headers=headers, max_redirects=0)


def in_language(path: str, language: str) -> str:
    """The page's address in a language."""
    return f"{path}{'&' if '?' in path else '?'}lang={language}"


@pytest.fixture
def context(browser: Browser, server: RunningServer, request: pytest.FixtureRequest):
    """A visitor's own browser window."""
    chosen: dict[str, Any] = getattr(request, "param", DESKTOP)
    opened = browser.new_context(base_url=server.url, **chosen)
    opened.grant_permissions(["clipboard-read", "clipboard-write"])
    yield opened
    opened.close()


@pytest.fixture
def watched(context: BrowserContext):
    """A page that must do nothing wrong."""
    with watched_page(context) as opened:
        yield opened


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


@pytest.mark.parametrize("context", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("path", [*PAGES, MISSING_PAGE])
def test_every_page_is_sound(watched, page, path, language):
    watched.expected = ["404"] if path == MISSING_PAGE else []
    page.goto(in_language(path, language))
    assert axe_violations(page) == []
    assert (left_in_english if language == "ko" else left_in_korean)(page) == []
    assert not is_wider_than_its_window(page)


@pytest.mark.parametrize("context", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("path", OWN_PAGES)
def test_every_page_behind_the_login_is_sound(context, server, page, path, language):
    login(context, server)
    page.goto(in_language(path, language))
    assert axe_violations(page) == []
    assert (left_in_english if language == "ko" else left_in_korean)(page) == []
    assert not is_wider_than_its_window(page)


@pytest.mark.parametrize("context", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
def test_a_key_is_made_copied_and_revoked(context, server, page):
    login(context, server)
    page.goto("/profile")
    page.get_by_text("New key").click()
    page.get_by_label("Name").fill("website")
    assert axe_violations(page) == []
    page.get_by_role("button", name="Create key").click()
    page.get_by_role("button", name="Copy").click()
    token = page.evaluate("navigator.clipboard.readText()")
    assert axe_violations(page) == []
    with server.client(token) as program:
        assert program.get("/v1/balance").status_code == 200
    page.get_by_role("link", name="I have copied it").click()
    row = page.get_by_role("row", name="website")
    row.get_by_role("button", name="Revoke").click()
    assert axe_violations(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    with server.client(token) as program:
        assert program.get("/v1/balance").status_code == 401


def test_the_first_link_logs_in_and_leaves_no_code_behind(page, server):
    code = server.do(server.services.sessions.new_code(OWNER_ID))
    page.goto(f"/login#code={code}")
    page.wait_for_url(f"{server.url}/")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.go_back()
    assert code not in page.url
    page.goto("/")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()


def test_a_key_logs_in_and_leads_back(page, server):
    page.goto(f"/models/{INPAINTING}/api")
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("API key").fill(OWNER_KEY)
    page.get_by_role("button", name="Log in with the key").click()
    page.wait_for_url(f"{server.url}/models/{INPAINTING}/api")


def test_a_wrong_key_is_told_at_its_field(watched, page):
    watched.expected = ["401"]
    page.goto("/login")
    page.get_by_label("API key").fill("w" * 40)
    page.get_by_role("button", name="Log in with the key").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown or was revoked")
    assert axe_violations(page) == []


@pytest.mark.parametrize(
    ("context", "language"), [(DESKTOP, Language.EN), (PHONE, Language.KO)], indirect=["context"]
)
def test_a_password_is_set_on_the_profile_and_logs_in(context, server, watched, page, language):
    watched.expected = ["401", "422"]
    email = f"{language}@example.org"
    account = server.do(server.services.accounts.create(email))
    login(context, server, server.do(server.services.keys.create(account.id, FIRST_KEY))[1])

    def says(key: str) -> str:
        return texts.ALL[key].within(language)

    def fill(key: str, value: str) -> None:
        page.get_by_label(says(key), exact=True).fill(value)

    def press(key: str) -> None:
        page.get_by_role("button", name=says(key), exact=True).click()

    def is_sound() -> bool:
        untranslated = (left_in_english if language is Language.KO else left_in_korean)(page)
        return not (axe_violations(page) or untranslated or is_wider_than_its_window(page))

    page.goto(in_language("/profile", language))
    page.get_by_text(says("password.set"), exact=True).click()
    for key in ("password.new", "password.repeated"):
        fill(key, "네 단어를 이어서 쓰기")
    assert is_sound()
    press("password.save")
    expect(page.get_by_role("status")).to_have_text(says("password.outcome_set"))
    page.get_by_text(says("password.change_or_remove"), exact=True).click()
    assert is_sound()
    fill("password.current", "not this one")
    press("password.remove")
    expect(page.get_by_role("alert")).to_have_text(says("password.current_refused"))
    assert is_sound()
    context.clear_cookies()
    page.goto(in_language("/login?next=/profile", language))
    fill("login.email", email)
    fill("login.password", "not this one")
    press("login.submit")
    expect(page.get_by_role("alert")).to_have_text(says("login.password_refused"))
    expect(page.get_by_label(says("login.password"), exact=True)).to_be_focused()
    assert is_sound()
    fill("login.password", "네 단어를 이어서 쓰기")
    press("login.submit")
    page.wait_for_url(f"{server.url}/profile")


@pytest.mark.parametrize("context", [{**DESKTOP, "java_script_enabled": False}], indirect=True)
def test_a_password_needs_no_script(server, page):
    account = server.do(server.services.accounts.create("plain@example.org"))
    server.do(server.services.passwords.reset(account, "four words in a row"))
    page.goto("/login?next=/profile")
    page.get_by_label("E-mail address").fill("plain@example.org")
    page.get_by_label("Password").fill("four words in a row")
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_text("Change or remove").click()
    page.get_by_label("Current password").fill("four words in a row")
    page.get_by_role("button", name="Remove password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is removed.")


def test_colours_change_at_once_and_stay(page):
    page.goto("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    with page.expect_response("**/preferences"):
        page.get_by_role("button", name="Colours: Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert axe_violations(page) == []


def test_the_language_can_be_switched_anywhere(page):
    page.goto("/?search=inpaint")
    page.get_by_role("link", name="한국어").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("모델")
    assert page.get_by_role("searchbox").input_value() == "inpaint"
    page.get_by_role("link", name="로그인").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")


@pytest.mark.parametrize("context", [PHONE], indirect=True)
def test_the_menu_of_a_phone_opens_and_closes(page):
    page.goto("/")
    link = page.get_by_role("link", name="Log in")
    expect(link).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    expect(link).to_be_visible()
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    expect(link).to_be_hidden()


def test_a_snippets_language_holds_for_the_page_and_is_copied_as_it_is(page):
    page.goto(f"/models/{INPAINTING}/api")
    expect(page.locator("pre:visible", has_text="import requests")).to_have_count(0)
    page.get_by_text("Python", exact=True).first.click()
    shown = page.locator("pre:visible", has_text="import requests")
    expect(shown).to_have_count(5)
    page.get_by_role("button", name="Copy").locator("visible=true").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == shown.first.text_content()
    assert re.match(r"import os\nimport time\nimport requests", copied)


def test_the_keyboard_reaches_the_content_first(page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()


@pytest.mark.parametrize("context", [{**DESKTOP, "java_script_enabled": False}], indirect=True)
def test_catalogue_and_documentation_need_no_script(page):
    page.goto("/")
    page.get_by_role("searchbox").fill("inpaint")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Z-Image Turbo Inpainting").click()
    page.get_by_role("link", name="API documentation").first.click()
    page.get_by_text("Python", exact=True).first.click()
    expect(page.locator("pre:visible", has_text="import requests")).to_have_count(1)
