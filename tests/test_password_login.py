"""Logging in with a password, over HTTP: what it opens, how it is refused, and how it is set and changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import httpx2
import pytest

from safelight.accounts import guesses
from safelight.accounts.accounts import OWNER_EMAIL, OWNER_ID
from safelight.accounts.keys import NewKey
from safelight.callers import Account, Scope
from tests import test_passwords
from tests.api_server import NEIGHBOUR_KEY, RunningServer

PASSWORD, OTHER = "four words & 눈 위의 집", "another <four> words here"
ADMIN = "/v1/admin/accounts"

cheap = test_passwords.cheap
_numbers = count()


@contextmanager
def browsing(server: RunningServer, **headers: str) -> Iterator[httpx2.Client]:
    """A browser's window."""
    told = {"accept": "text/html", "origin": server.url, **headers}
    with httpx2.Client(base_url=server.url, headers=told, timeout=60) as opened:
        yield opened


@pytest.fixture
def browser(server):
    with browsing(server) as opened:
        yield opened


@pytest.fixture
def ann(server) -> Account:
    """An account of this test alone, without a password."""
    return server.do(server.services.accounts.create(f"ann{next(_numbers)}@example.org"))


@pytest.fixture
def key(server, ann) -> str:
    """Her key."""
    return server.do(server.services.keys.create(ann.id, NewKey("first")))[1]


def give(server: RunningServer, account: Account, password: str = PASSWORD) -> None:
    server.do(server.services.passwords.reset(account, password))


def log_in(browser: httpx2.Client, email: str, password: str = PASSWORD, **form: str) -> httpx2.Response:
    return browser.post("/login", data={"email": email, "password": password, **form})


def save(browser: httpx2.Client, new: str, repeated: str | None = None, **form: str) -> httpx2.Response:
    """Send the form on the profile."""
    fields = {"password": new, "repeated": new if repeated is None else repeated, **form}
    return browser.post("/profile/password", data=fields)


def is_logged_in(browser: httpx2.Client) -> bool:
    return browser.get("/api/auth/me").status_code == 200


def test_a_password_logs_in_to_all_that_a_key_of_every_scope_may(server, browser, ann, key):
    with browsing(server) as first:
        first.post("/login", data={"key": key})
        assert save(first, PASSWORD).headers["location"] == "/profile?password=set#password"
    answer = log_in(browser, ann.email.upper(), next="/profile")
    assert (answer.status_code, answer.headers["location"]) == (303, "/profile")
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    token = browser.cookies["safelight_session"]
    caller = server.do(server.services.sessions.caller_of(token))
    assert (caller.account, caller.key_id, caller.scopes) == (ann, None, frozenset(Scope))
    assert browser.post("/v1/models/test/instant", json={}).status_code == 200
    assert browser.post("/profile/keys", data={"name": "hers", "scopes": "admin"}).status_code == 201
    assert browser.get("/operator").status_code == 403


def test_every_refusal_looks_the_same_and_shows_no_password(server, browser, ann, cheap):
    """For an unknown name, an account without a password, and a wrong one."""
    bob = server.do(server.services.accounts.create(f"bob{next(_numbers)}@example.org"))
    give(server, bob)
    pages = set()
    for email in ("<b>@example.org", ann.email, bob.email):
        answer = log_in(browser, email, OTHER)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        shown = email.replace("<", "&lt;").replace(">", "&gt;")
        assert f'value="{shown}"' in answer.text
        pages.add(answer.text.replace(shown, ""))
    [page] = pages
    assert "four" not in page
    assert "The e-mail address or the password is wrong." in page
    fields = re.findall(r'<input id="(\w+)"[^>]* aria-invalid="true" aria-describedby="problem"', page)
    assert fields == ["email", "password"]


def test_a_name_can_be_guessed_so_often_and_a_key_still_opens(server, browser, ann, key, cheap, monkeypatch):
    monkeypatch.setattr(guesses, "OF_A_NAME", 3)
    give(server, ann)
    for _ in range(3):
        assert log_in(browser, ann.email, OTHER).status_code == 401
    right = log_in(browser, ann.email)
    assert right.status_code == 429
    assert 800 < int(right.headers["retry-after"]) <= 900
    assert "Too many wrong passwords for this e-mail address" in right.text
    assert "15 minutes" in right.text
    korean = browser.post("/login?lang=ko", data={"email": ann.email, "password": PASSWORD})
    assert "15분 뒤에 다시 시도해 주세요" in korean.text
    assert browser.post("/login", data={"key": key}).status_code == 303
    assert save(browser, OTHER, current=PASSWORD).status_code == 429


def test_an_address_can_guess_so_often(server, cheap, monkeypatch):
    monkeypatch.setattr(guesses, "OF_A_NETWORK", 3)
    tries = [("203.0.113.9", 401)] * 3 + [("203.0.113.9", 429), ("203.0.113.10", 401)]
    for number, (address, status) in enumerate(tries):
        with browsing(server, **{"x-forwarded-for": f"198.51.100.{number}, {address}"}) as guessing:
            assert log_in(guessing, f"{number}@example.org").status_code == status


def test_another_sites_page_logs_nobody_in_and_sets_nothing(server, browser, ann, key, cheap):
    give(server, ann)
    evil = {"origin": "https://evil.example"}
    form = {"email": ann.email, "password": PASSWORD}
    assert browser.post("/login", data=form, headers=evil).status_code == 403
    browser.post("/login", data={"key": key})
    form = {"current": PASSWORD, "password": OTHER, "repeated": OTHER}
    assert browser.post("/profile/password", data=form, headers=evil).status_code == 403
    assert log_in(browser, ann.email).status_code == 303


# --- The profile ----------------------------------------------------------------------------------------


def test_a_password_is_set_changed_and_removed(server, browser, ann, key, cheap):
    browser.post("/login", data={"key": key})
    assert 'autocomplete="current-password"' not in browser.get("/profile").text
    set_page = browser.get(save(browser, PASSWORD).headers["location"]).text
    assert "Your password is set." in set_page
    assert 'autocomplete="current-password"' in set_page
    for form in ({}, {"current": OTHER}, {"current": OTHER, "do": "remove"}, {"do": "remove"}):
        refused = save(browser, OTHER, **form)
        assert refused.status_code == 422
        assert "This is not the current password." in refused.text
        assert "four" not in refused.text
    assert save(browser, OTHER, current=PASSWORD).status_code == 303
    with browsing(server) as elsewhere:
        assert log_in(elsewhere, ann.email).status_code == 401
        assert log_in(elsewhere, ann.email, OTHER).status_code == 303
        assert (
            save(browser, "", current=OTHER, do="remove")
            .headers["location"]
            .startswith("/profile?password=rem")
        )
        assert not is_logged_in(elsewhere)
        assert log_in(elsewhere, ann.email, OTHER).status_code == 401
    assert is_logged_in(browser)
    assert 'autocomplete="current-password"' not in browser.get("/profile").text


def test_a_change_ends_the_other_sessions_and_leaves_keys_alone(server, browser, ann, key, cheap):
    give(server, ann)
    with browsing(server) as by_password, browsing(server) as by_key:
        log_in(by_password, ann.email)
        by_key.post("/login", data={"key": key})
        log_in(browser, ann.email)
        assert all(map(is_logged_in, (browser, by_password, by_key)))
        save(browser, OTHER, current=PASSWORD)
        assert [is_logged_in(one) for one in (browser, by_password, by_key)] == [True, False, False]
    with server.client(key) as program:
        assert program.get("/v1/balance").status_code == 200


@pytest.mark.parametrize(
    ("new", "repeated", "field", "told"),
    [
        ("eleven char", "eleven char", "password", "must have at least 12 characters"),
        ("", "", "password", "must have at least 12 characters"),
        ("é" * 129, "é" * 129, "password", "must have at most 128 characters"),
        ("a\0b" * 9, "a\0b" * 9, "password", "must not contain NUL"),
        (PASSWORD, OTHER, "repeated", "The two new passwords differ."),
    ],
)
def test_what_is_wrong_with_a_new_one_is_told_at_its_field(browser, ann, key, new, repeated, field, told):
    browser.post("/login", data={"key": key})
    page = save(browser, new, repeated)
    assert page.status_code == 422
    assert re.search(rf'id="{field}-password-told" role="alert">{told}', page.text)
    assert not re.search(r'<input[^>]*type="password"[^>]*value=', page.text)
    assert "set on" not in browser.get("/profile").text.lower()


def test_the_longest_password_fits_the_form_whatever_it_is_written_in(server, browser, ann, cheap):
    longest = "🏠" * 128
    give(server, ann, longest)
    assert log_in(browser, ann.email, longest).status_code == 303
    assert save(browser, longest[::-1], current=longest).status_code == 303


def test_a_session_that_may_not_manage_the_account_sets_none(server, browser, ann):
    narrow = NewKey("narrow", frozenset({Scope.READ, Scope.SUBMIT}))
    _, key = server.do(server.services.keys.create(ann.id, narrow))
    browser.post("/login", data={"key": key})
    assert "may not manage this account" in browser.get("/profile").text
    assert save(browser, PASSWORD).status_code == 403
    assert server.do(server.services.passwords.set_at(ann.id)) is None


# --- The owner of the server ----------------------------------------------------------------------------


def test_the_owner_sets_and_removes_anybodys_password(server, client, browser, ann, cheap):
    address = f"{ADMIN}/{ann.id}/password"
    assert client.put(address, json={"password": PASSWORD}).json()["email"] == ann.email
    log_in(browser, ann.email)
    client.put(address, json={"password": OTHER})
    assert not is_logged_in(browser)
    assert log_in(browser, ann.email, OTHER).status_code == 303
    client.put(address, json={"password": None})
    assert not is_logged_in(browser)
    assert log_in(browser, ann.email, OTHER).status_code == 401


def test_the_owner_logs_in_with_a_password_too(server, client, browser, cheap):
    client.put(f"{ADMIN}/{OWNER_ID}/password", json={"password": PASSWORD})
    assert log_in(browser, OWNER_EMAIL).status_code == 303
    assert browser.get("/operator").status_code == 200


def test_a_refused_password_is_not_told_back(server, client, ann):
    address = f"{ADMIN}/{ann.id}/password"
    for wrong in ("secret", 1234567890123, ["secret secret"], "s" * 129, {"secret": 1}):
        answer = client.put(address, json={"password": wrong})
        assert answer.status_code == 422, wrong
        assert not re.search("secret|12345|sss", answer.text)
    for body in ({}, {"password": PASSWORD, "email": "x"}):
        assert client.put(address, json=body).status_code == 422
    assert client.put(f"{ADMIN}/nobody/password", json={"password": PASSWORD}).status_code == 404
    for key in (NEIGHBOUR_KEY, "w" * 40):
        with server.client(key) as other:
            assert other.put(address, json={"password": PASSWORD}).status_code in (401, 403)
    assert server.do(server.services.passwords.set_at(ann.id)) is None
