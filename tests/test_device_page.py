"""Approving a device: its code, from the device to the page and back as a key."""

from __future__ import annotations

import httpx2
import pytest

from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, RunningServer


@pytest.fixture
def visitor(server: RunningServer):
    headers = {"accept": "text/html", "origin": server.url}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=60) as opened:
        opened.post("/login", data={"key": NEIGHBOUR_KEY})
        yield opened


@pytest.fixture
def started(server: RunningServer):
    return httpx2.post(f"{server.url}/api/cli-auth/start").json()


def polled(server: RunningServer, started) -> httpx2.Response:
    return httpx2.post(f"{server.url}/api/cli-auth/poll", json={"device_code": started["device_code"]})


def test_the_devices_link_leads_through_the_login_to_its_code(server, visitor, started):
    path = started["verify_url"].removeprefix(server.url)
    stranger = httpx2.get(started["verify_url"], headers={"accept": "text/html"})
    assert stranger.headers["location"] == f"/login?next=%2Fdevice%3Fcode%3D{started['user_code']}"
    assert f'value="{started["user_code"]}"' in visitor.get(path).text


def test_an_approved_device_gets_a_key_of_this_account(server, visitor, started):
    answer = visitor.post("/device", data={"code": started["user_code"].lower(), "decision": "approve"})
    assert "Approved" in answer.text
    with server.client(polled(server, started).json()["access_token"]) as program:
        assert program.get("/api/auth/me").json()["id"] == NEIGHBOUR_ID


def test_a_denied_device_gets_none_and_an_unknown_code_is_told(server, visitor, started):
    visitor.post("/device", data={"code": started["user_code"], "decision": "deny"})
    assert polled(server, started).status_code == 410
    unknown = visitor.post("/device", data={"code": started["user_code"], "decision": "approve"})
    assert unknown.status_code == 404
    assert 'role="alert"' in unknown.text


def test_another_sites_page_approves_nothing(server, visitor, started):
    form = {"code": started["user_code"], "decision": "approve"}
    answer = visitor.post("/device", data=form, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert polled(server, started).json() == {"status": "pending"}
