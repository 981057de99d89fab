"""The operator's pages: for the owner alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from safelight.callers import Limits
from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, OWNER_KEY, RunningServer

ACCOUNT = f"/operator/accounts/{NEIGHBOUR_ID}"


@contextmanager
def logged_in(server: RunningServer, key: str) -> Iterator[httpx2.Client]:
    headers = {"accept": "text/html", "origin": server.url}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=60) as client:
        client.post("/login", data={"key": key})
        yield client


@pytest.fixture
def owner(server: RunningServer):
    with logged_in(server, OWNER_KEY) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/operator", "/operator/accounts", ACCOUNT])
def test_only_the_owner_sees_them(server, owner, path):
    assert owner.get(path).status_code == 200
    with logged_in(server, NEIGHBOUR_KEY) as neighbour:
        answer = neighbour.get(path)
        assert answer.status_code == 403
        assert "/operator" not in neighbour.get("/").text
    stranger = httpx2.get(server.url + path, headers={"accept": "text/html"})
    assert stranger.headers["location"].startswith("/login")


@pytest.mark.parametrize("path", ["/operator/accounts", f"{ACCOUNT}/limits", f"{ACCOUNT}/keys"])
def test_nobody_else_changes_anything(server, path):
    form = {"email": "new@example.org", "name": "mine", "scopes": "admin"}
    with logged_in(server, NEIGHBOUR_KEY) as neighbour:
        assert neighbour.post(path, data=form).status_code == 403


def test_the_queue_what_runs_and_what_failed_are_shown(server, owner):
    with server.client(NEIGHBOUR_KEY) as neighbour:
        first, second, third = (server.submit(neighbour) for _ in range(3))
    server.fail(server.claim(first), "corrupt_image", "The image is <damaged>.")
    server.claim(second)
    server.do(server.services.attendance.say("worker-1", "GPU 0", ["test/instant"]))
    page = owner.get("/operator").text
    assert first in page
    assert "The image is &lt;damaged&gt;." in page
    assert second in page
    assert third not in page  # The queue is told by account and model.
    assert "GPU 0" in page
    assert "neighbour@example.org" in page


def test_an_account_is_made_with_a_first_key_that_works(server, owner):
    made = owner.post("/operator/accounts", data={"email": "new@example.org"})
    assert made.status_code == 201
    token = re.search(r"sl_[\w-]{43}", made.text)[0]
    with server.client(token) as program:
        assert program.get("/api/auth/me").json()["email"] == "new@example.org"
    assert "new@example.org" in owner.get("/operator/accounts").text
    wrong = owner.post("/operator/accounts", data={"email": "nobody"})
    assert wrong.status_code == 422
    assert 'aria-describedby="email-problem"' in wrong.text


def test_credits_are_given_taken_back_and_listed(server, owner):
    def give(amount: str, note: str = "") -> httpx2.Response:
        return owner.post(f"{ACCOUNT}/credits", data={"amount_usd": amount, "note": note})

    assert give("12.50", "for <March>").headers["location"] == f"{ACCOUNT}#credits"
    page = owner.get(ACCOUNT).text
    assert "$12.50" in page
    assert "for &lt;March&gt;" in page
    assert "$12.50" in owner.get("/operator/accounts").text
    give("-2.5")
    assert "$10.00" in owner.get(ACCOUNT).text
    for wrong in ("-100", "much", "0", "0.0000001", ""):
        answer = give(wrong)
        assert answer.status_code == 422, wrong
        assert 'aria-describedby="amount-problem"' in answer.text
    assert "$10.00" in owner.get(ACCOUNT).text


def test_limits_are_set_and_lifted(server, owner):
    def limits() -> Limits:
        return server.do(server.services.accounts.get(NEIGHBOUR_ID)).limits

    owner.post(f"{ACCOUNT}/limits", data={"requests_per_minute": "60", "monthly_credits": "2.50"})
    assert (limits().requests_per_minute, str(limits().monthly_credits)) == (60, "2.5")
    assert 'value="60"' in owner.get(ACCOUNT).text
    for wrong in ("-1", "many", "1.5"):
        answer = owner.post(f"{ACCOUNT}/limits", data={"requests_per_minute": wrong})
        assert answer.status_code == 422
        assert f'value="{wrong}"' in answer.text
    owner.post(f"{ACCOUNT}/limits", data={"requests_per_minute": " "})
    assert limits() == Limits()


def test_keys_of_an_account_are_made_and_revoked(server, owner):
    made = owner.post(f"{ACCOUNT}/keys", data={"name": "for them", "scopes": ["read"]})
    token = re.search(r"sl_[\w-]{43}", made.text)[0]
    with server.client(token) as program:
        assert program.get("/v1/balance").status_code == 200
        key_id = re.search(rf"{re.escape(token[:8])}….*?keys/([\w-]+)/revoke", made.text, re.S)[1]
        owner.post(f"{ACCOUNT}/keys/{key_id}/revoke")
        assert program.get("/v1/balance").status_code == 401


def test_an_unknown_account_is_not_there(owner):
    assert owner.get("/operator/accounts/nobody").status_code == 404
