"""The profile: keys are made, shown once and revoked, by who may do that."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import httpx2
import pytest

from safelight.accounts.keys import NewKey
from safelight.callers import Scope
from safelight.credits.usage import UsageLine
from safelight.web.money import chart
from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, RunningServer, running_server


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


# --- Money ----------------------------------------------------------------------------------------------


def test_the_profile_tells_balance_usage_and_what_was_charged(tmp_path):
    prices = '{"default": {"usd": 0.5}}'
    with running_server(tmp_path, pricing=prices) as server:
        services = server.services
        server.do(services.ledger.grant(NEIGHBOUR_ID, Decimal("2.00"), "a gift"))
        with server.client(NEIGHBOUR_KEY) as program:
            done, failed = server.submit(program), server.submit(program)
        server.finish(server.claim(done))
        server.fail(server.claim(failed), "corrupt_image", "damaged")
        headers = {"accept": "text/html", "origin": server.url}
        with httpx2.Client(base_url=server.url, headers=headers, timeout=60) as visitor:
            visitor.post("/login", data={"key": NEIGHBOUR_KEY})
            page = visitor.get("/profile").text
            server.do(services.ledger.grant(NEIGHBOUR_ID, Decimal("-1.50")))
            spent = visitor.get("/profile").text
            card = visitor.get("/?search=album").text
    for told in ("$1.50", "a gift", "Charged", "Released", "−$0.50", done, failed):
        assert told in page, told
    assert "2 requests from" in page
    assert "There are no credits left" not in page
    assert "There are no credits left" in spent
    assert "$0.50 per output" in card


def test_older_entries_are_a_page_away(server, visitor):
    for number in range(25):
        server.do(server.services.ledger.grant(NEIGHBOUR_ID, Decimal(1), f"grant {number}."))
    first = visitor.get("/profile").text
    older = visitor.get(re.search(r"/profile\?before=\d+", first)[0]).text
    for number in range(25):
        assert (f"grant {number}." in first) != (f"grant {number}." in older), number
    assert visitor.get("/profile?before=x").status_code == 200


def test_the_chart_has_a_bar_for_every_day():
    today = date(2026, 3, 1)
    lines = [
        UsageLine("2026-03-01", None, None, "a/model", 3, 2, Decimal("0.03")),
        UsageLine("2026-03-01", "key", "website", "b/model", 4, 4, Decimal("0.04")),
        UsageLine("2026-02-28", None, None, "a/model", 1, 0, Decimal(0)),
    ]
    drawn = chart(lines, today)
    assert [bar.requests for bar in drawn.bars[-3:]] == [0, 1, 7]
    assert len(drawn.bars) == 30
    assert (drawn.highest, drawn.requests, drawn.usd) == (10, 8, Decimal("0.07"))
    assert drawn.bars[-1].height == 0.7 * drawn.height == drawn.height - drawn.bars[-1].top
    assert chart([], today).highest == 1
