"""Sessions: how a browser logs in, stays so, and what its cookie can and cannot do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import sqlalchemy as sa

from safelight.accounts.accounts import OWNER_ID
from safelight.accounts.keys import Keys, NewKey
from safelight.accounts.sessions import Sessions
from safelight.callers import Limits, Scope
from safelight.db.tables import api_keys, login_codes, sessions
from safelight.errors import Unauthorized
from tests.api_server import NEIGHBOUR_KEY, OWNER_KEY, RunningServer

KEY = "k" * 32


@pytest.fixture
def kept(database) -> Sessions:
    return Sessions(database, Keys(database))


async def _write(database, statement: sa.Executable) -> None:
    await database.write(lambda connection: connection.execute(statement).close())


async def test_a_key_begins_a_session_and_logging_out_ends_it(kept):
    token = await kept.begin_with_key(KEY)
    assert (await kept.caller_of(token)).account.id == OWNER_ID
    await kept.end(token)
    with pytest.raises(Unauthorized):
        await kept.caller_of(token)


async def test_an_unknown_key_or_token_is_refused(kept):
    for key in ("x" * 32, "", "k" * 31):
        with pytest.raises(Unauthorized):
            await kept.begin_with_key(key)
    for token in ("", "a" * 43, "é" * 43):
        with pytest.raises(Unauthorized):
            await kept.caller_of(token)


async def test_a_code_logs_in_once(kept):
    code = await kept.new_code(OWNER_ID)
    token = await kept.begin_with_code(code)
    assert (await kept.caller_of(token)).account.id == OWNER_ID
    with pytest.raises(Unauthorized):
        await kept.begin_with_code(code)


async def test_what_has_expired_is_refused(kept, database):
    code, token = await kept.new_code(OWNER_ID), await kept.begin_with_key(KEY)
    past = datetime.now(UTC) - timedelta(seconds=1)
    for table in (sessions, login_codes):
        await _write(database, sa.update(table).values(expires_at=past))
    with pytest.raises(Unauthorized):
        await kept.caller_of(token)
    with pytest.raises(Unauthorized):
        await kept.begin_with_code(code)


async def test_a_session_ends_when_its_key_is_revoked(kept, database):
    by_key = await kept.begin_with_key(KEY)
    by_code = await kept.begin_with_code(await kept.new_code(OWNER_ID))
    await _write(database, sa.update(api_keys).values(revoked_at=datetime.now(UTC)))
    with pytest.raises(Unauthorized):
        await kept.caller_of(by_key)
    assert (await kept.caller_of(by_code)).account.id == OWNER_ID


async def test_a_session_may_what_the_key_may_that_began_it(kept, database):
    wanted = NewKey("narrow", frozenset({Scope.READ}), Limits(queued_jobs=3))
    made, key = await Keys(database).create(OWNER_ID, wanted)
    caller = await kept.caller_of(await kept.begin_with_key(key))
    assert (caller.key_id, caller.scopes, caller.limits) == (made.id, wanted.scopes, wanted.limits)
    by_code = await kept.caller_of(await kept.begin_with_code(await kept.new_code(OWNER_ID)))
    assert (by_code.key_id, by_code.scopes) == (None, frozenset(Scope))


async def test_the_database_keeps_no_token_and_no_code(kept, database):
    code, token = await kept.new_code(OWNER_ID), await kept.begin_with_key(KEY)
    for table in (sessions, login_codes):
        rows = await database.read(lambda connection, table=table: connection.execute(sa.select(table)).all())
        assert rows
        assert code not in str(rows)
        assert token not in str(rows)


# --- Over HTTP ------------------------------------------------------------------------------------------


@pytest.fixture
def browser(server: RunningServer):
    """A client that keeps cookies and follows no redirect, as a browser behind these pages."""
    with httpx2.Client(base_url=server.url, headers={"origin": server.url}, timeout=60) as opened:
        yield opened


def log_in(browser: httpx2.Client, **form: str) -> httpx2.Response:
    return browser.post("/login", data=form)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser):
    answer = log_in(browser, key=OWNER_KEY, next="/profile")
    assert (answer.status_code, answer.headers["location"]) == (303, "/profile")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie  # plain http on this machine


def test_behind_tls_the_cookie_stays_with_tls(tmp_path):
    from tests.api_server import running_server

    with running_server(tmp_path, public_url="https://images.example.org") as running:
        headers = {"origin": "https://images.example.org", "host": "images.example.org"}
        answer = httpx2.post(f"{running.url}/login", data={"key": OWNER_KEY}, headers=headers)
    assert "; Secure" in answer.headers["set-cookie"]


def test_the_session_opens_the_api_and_logging_out_closes_it(browser):
    assert browser.get("/api/auth/me").status_code == 401
    log_in(browser, key=NEIGHBOUR_KEY)
    assert browser.get("/api/auth/me").json()["id"] == "neighbour"
    assert browser.post("/v1/models/test/instant", json={}).status_code == 200
    token = browser.cookies["safelight_session"]
    browser.post("/logout")
    assert "safelight_session" not in browser.cookies
    again = browser.get("/api/auth/me", headers={"cookie": f"safelight_session={token}"})
    assert again.status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://127.0.0.1:1"])
def test_another_sites_page_changes_nothing(browser, server, origin):
    log_in(browser, key=NEIGHBOUR_KEY)
    answer = browser.post("/v1/models/test/instant", json={}, headers={"origin": origin})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"
    stranger = httpx2.post(f"{server.url}/login", data={"key": OWNER_KEY}, headers={"origin": origin})
    assert stranger.status_code == 403
    assert browser.get("/v1/balance").status_code == 200


def test_a_key_in_the_header_comes_before_the_cookie(browser):
    log_in(browser, key=NEIGHBOUR_KEY)
    headers = {"authorization": f"Bearer {OWNER_KEY}"}
    assert browser.get("/api/auth/me", headers=headers).json()["id"] == OWNER_ID
    wrong = {"authorization": "Bearer " + "w" * 40}
    assert browser.get("/api/auth/me", headers=wrong).status_code == 401


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "x", "/a\nb"]
)
def test_after_the_login_nobody_is_led_elsewhere(browser, wanted):
    assert log_in(browser, key=OWNER_KEY, next=wanted).headers["location"] == "/"


def test_a_wrong_key_is_told_at_its_field(browser):
    answer = log_in(browser, key="wrong")
    assert answer.status_code == 401
    assert 'aria-describedby="problem"' in answer.text
    assert "This key is unknown" in answer.text


def test_a_form_without_end_is_refused(browser):
    assert log_in(browser, key="k" * 9000).status_code == 413
