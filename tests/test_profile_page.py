"""The profile: keys are made, shown once and revoked, by who may do that."""

from __future__ import annotations

import re

import httpx2
import pytest

from safelight.callers import Scope
from safelight.keys import NewKey
from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, RunningServer


@pytest.fixture
def visitor(server: RunningServer):
    """The neighbour, logged in."""
    headers = {"accept": "text/html", "origin": server.url}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=60) as opened:
        opened.post("/login", data={"key": NEIGHBOUR_KEY})
        yield opened


def create(visitor: httpx2.Client, name: str = "website", **form: object) -> httpx2.Response:
    return visitor.post("/profile/keys", data={"name": name, "scopes": ["submit", "read"], **form})


def token_in(page: str) -> str:
    return re.search(r"sl_[\w-]{43}", page)[0]


def test_a_stranger_is_led_to_the_login_and_back(server):
    answer = httpx2.get(f"{server.url}/profile", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fprofile")


def test_a_key_is_shown_once_works_and_is_revoked(visitor, server):
    made = create(visitor, expires_in_days="30")
    assert made.status_code == 201
    token = token_in(made.text)
    page = visitor.get("/profile").text
    assert token not in page
    assert "website" in page
    with server.client(token) as program:
        assert program.get("/v1/balance").status_code == 200
        key_id = next(
            k["id"] for k in visitor.get("/v1/keys").json()["keys"] if token.startswith(k["prefix"])
        )
        assert visitor.post(f"/profile/keys/{key_id}/revoke").headers["location"] == "/profile#keys"
        assert program.get("/v1/balance").status_code == 401
    assert "1 revoked or expired key" in visitor.get("/profile").text


def test_what_was_wrong_is_told_at_its_field_and_nothing_typed_is_lost(visitor):
    nameless = create(visitor, name="   ")
    assert nameless.status_code == 422
    assert 'aria-describedby="name-problem"' in nameless.text
    powerless = create(visitor, name="typed & kept", scopes=[])
    assert powerless.status_code == 422
    assert 'value="typed &amp; kept"' in powerless.text
    korean = visitor.post("/profile/keys?lang=ko", data={"name": " ", "scopes": "read"})
    assert "비워 둘 수 없습니다" in korean.text


def test_another_accounts_key_cannot_be_revoked(visitor, server):
    key, token = server.do(server.services.keys.create("owner", NewKey("owner's")))
    assert visitor.post(f"/profile/keys/{key.id}/revoke").status_code == 404
    with server.client(token) as program:
        assert program.get("/v1/balance").status_code == 200


def test_another_sites_form_makes_no_key(visitor):
    answer = visitor.post("/profile/keys", data={"name": "x"}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "<h1>" in answer.text


def test_a_session_may_what_its_key_may(server):
    reader = NewKey("reader", frozenset({Scope.READ}))
    _, token = server.do(server.services.keys.create(NEIGHBOUR_ID, reader))
    headers = {"accept": "text/html", "origin": server.url}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=60) as visitor:
        visitor.post("/login", data={"key": token})
        assert "may not manage keys" in visitor.get("/profile").text
        assert create(visitor).status_code == 403
