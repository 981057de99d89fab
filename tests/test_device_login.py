"""Logging in on a device: over HTTP, and with the commands as people type them."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import subprocess
import sys

import httpx2
import pytest
import sqlalchemy as sa

from safelight.accounts import device_logins
from safelight.accounts.accounts import OWNER_ID
from safelight.accounts.device_logins import DeviceLogins, LoginStatus
from safelight.accounts.keys import Keys
from safelight.db.tables import api_keys
from safelight.db.tables import device_logins as table
from safelight.errors import NotFound, RateLimited
from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, OWNER_KEY
from tests.serving import clean_environment


@pytest.fixture
def logins(database):
    return DeviceLogins(database)


async def age(database) -> None:
    """Let all logins that wait expire."""
    past = sa.update(table).values(expires_at=sa.text("'2020-01-01 00:00:00+00:00'"))
    await database.write(lambda connection: connection.execute(past))


async def test_an_approved_device_gets_a_key_once(logins, database):
    login = await logins.start()
    assert await logins.poll(login.device_code) == (LoginStatus.PENDING, None)
    await logins.decide(login.user_code.lower().replace("-", " "), OWNER_ID, approved=True)
    status, token = await logins.poll(login.device_code)
    assert status is LoginStatus.AUTHORIZED
    caller = await Keys(database).authenticate(token)
    assert (caller.account.id, sorted(caller.scopes)) == (OWNER_ID, ["read", "submit"])
    assert await logins.poll(login.device_code) == (LoginStatus.EXPIRED, None)


async def test_many_polls_at_once_make_one_key(logins, database):
    login = await logins.start()
    await logins.decide(login.user_code, OWNER_ID, approved=True)
    answers = await asyncio.gather(*(logins.poll(login.device_code) for _ in range(10)))
    assert len([token for _, token in answers if token]) == 1
    count = sa.select(sa.func.count()).select_from(api_keys)
    assert await database.read(lambda connection: connection.execute(count).scalar()) == 2


async def test_a_denied_device_gets_nothing(logins):
    login = await logins.start()
    await logins.decide(login.user_code, OWNER_ID, approved=False)
    assert await logins.poll(login.device_code) == (LoginStatus.DENIED, None)


async def test_a_login_expires(logins, database):
    login = await logins.start()
    await age(database)
    assert await logins.poll(login.device_code) == (LoginStatus.EXPIRED, None)
    with pytest.raises(NotFound):
        await logins.decide(login.user_code, OWNER_ID, approved=True)


async def test_what_is_stored_opens_nothing(logins, database):
    login = await logins.start()
    await logins.decide(login.user_code, OWNER_ID, approved=True)
    [row] = await database.read(lambda connection: connection.execute(sa.select(table)).all())
    assert login.device_code not in str(row)
    assert await logins.poll(login.user_code) == (LoginStatus.EXPIRED, None)


async def test_a_login_is_decided_once(logins):
    login = await logins.start()
    await logins.decide(login.user_code, OWNER_ID, approved=False)
    with pytest.raises(NotFound):
        await logins.decide(login.user_code, OWNER_ID, approved=True)


async def test_strangers_cannot_fill_the_table(logins, database, monkeypatch):
    monkeypatch.setattr(device_logins, "MAX_WAITING", 3)
    for _ in range(3):
        await logins.start()
    with pytest.raises(RateLimited):
        await logins.start()
    await age(database)
    await logins.start()


# --- Over HTTP ------------------------------------------------------------------------------------------


def begin(server) -> dict:
    with server.client(None) as device:
        return device.post("/api/cli-auth/start").json()


def poll(server, device_code: str) -> httpx2.Response:
    with server.client(None) as device:
        return device.post("/api/cli-auth/poll", json={"device_code": device_code})


def test_the_whole_way_over_http(server, client):
    login = begin(server)
    assert set(login) == {"device_code", "user_code", "verify_url", "expires_in", "poll_interval"}
    assert re.fullmatch(r"[A-Z]{4}-[A-Z]{4}", login["user_code"])
    assert login["verify_url"] == f"{server.url}/device?code={login['user_code']}"
    assert poll(server, login["device_code"]).json() == {"status": "pending"}
    answer = client.post("/api/cli-auth/approve", json={"user_code": login["user_code"]})
    assert answer.json() == {"status": "authorized"}
    token = poll(server, login["device_code"]).json()["access_token"]
    with server.client(token) as device:
        assert device.get("/api/auth/me").json() == {
            "id": OWNER_ID,
            "email": "owner@localhost",
            "token_type": "api_key",
        }
        assert device.get("/v1/keys").status_code == 403


def test_what_is_over_is_gone(server, client):
    denied = begin(server)
    client.post("/api/cli-auth/approve", json={"user_code": denied["user_code"], "approve": False})
    for code, status in ((denied["device_code"], "denied"), ("unknown", "expired")):
        answer = poll(server, code)
        assert (answer.status_code, answer.json()["status"], answer.json()["error_code"]) == (
            410,
            status,
            410001,
        )


def test_only_who_may_make_keys_approves(server, client):
    login = begin(server)
    made = client.post("/v1/keys", json={"name": "weak", "scopes": ["submit", "read"]}).json()
    for key, http_status in ((made["key"], 403), (None, 401), (NEIGHBOUR_KEY, 200)):
        with server.client(key) as other:
            answer = other.post("/api/cli-auth/approve", json={"user_code": login["user_code"]})
            assert answer.status_code == http_status
    token = poll(server, login["device_code"]).json()["access_token"]
    with server.client(token) as device:
        assert device.get("/api/auth/me").json()["id"] == NEIGHBOUR_ID


def test_an_unknown_code_says_so(client):
    answer = client.post("/api/cli-auth/approve", json={"user_code": "BBBB-BBBB"})
    assert answer.status_code == 404
    assert "Start it again" in answer.json()["error_message"]


# --- The commands ---------------------------------------------------------------------------------------

COMMAND = [sys.executable, "-m", "safelight"]


def test_login_keeps_a_key_that_only_this_user_reads(server, tmp_path):
    device = clean_environment(data_dir=tmp_path / "device")
    with subprocess.Popen(
        [*COMMAND, "login", server.url], env=device, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as login:
        first = login.stderr.readline()
        [code] = re.findall(r"code: (\S+)", first)
        assert f"{server.url}/device?code={code}" in first
        owner = clean_environment(data_dir=tmp_path / "owner", base_url=server.url, api_key=OWNER_KEY)
        subprocess.run([*COMMAND, "login", "--approve", code], env=owner, check=True, capture_output=True)
        out, errors = login.communicate(timeout=60)
    assert login.returncode == 0, errors
    assert out == f"Logged in to {server.url} as owner@localhost\n"
    kept = tmp_path / "device" / "login.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["base_url"] == server.url

    who = subprocess.run(
        [*COMMAND, "whoami", "--json"], env=device, check=True, capture_output=True, text=True
    )
    assert json.loads(who.stdout)["email"] == "owner@localhost"
    # To another server the key is not sent.
    elsewhere = device | {"SAFELIGHT_BASE_URL": server.url.replace("127.0.0.1", "localhost")}
    assert subprocess.run([*COMMAND, "whoami"], env=elsewhere, capture_output=True).returncode == 77


def test_a_denied_login_is_77(server, tmp_path):
    device = clean_environment(data_dir=tmp_path / "device")
    with subprocess.Popen(
        [*COMMAND, "login", server.url], env=device, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as login:
        [code] = re.findall(r"code: (\S+)", login.stderr.readline())
        owner = clean_environment(data_dir=tmp_path / "owner", base_url=server.url, api_key=OWNER_KEY)
        subprocess.run([*COMMAND, "login", "--deny", code], env=owner, check=True, capture_output=True)
        _, errors = login.communicate(timeout=60)
    assert login.returncode == 77
    assert "denied" in errors
    assert not (tmp_path / "device" / "login.json").exists()
