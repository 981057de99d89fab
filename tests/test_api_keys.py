"""Keys and accounts over HTTP: who may do what, and what is shown once."""

from __future__ import annotations

import pytest
from starlette.routing import Route

from safelight.api.scopes import needed_scope
from safelight.callers import Scope
from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, OWNER_KEY

NO_LIMITS = dict.fromkeys(("requests_per_minute", "queued_jobs", "running_jobs", "monthly_credits"))


def make(client, **fields):
    answer = client.post("/v1/keys", json={"name": "a key", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return answer.json()["error"]


def test_a_key_is_made_used_listed_and_revoked(server, client):
    made = make(client, name="laptop", queued_jobs=7, monthly_credits=2.5, expires_in_days=30)
    token = made.pop("key")
    assert token.startswith(made["prefix"])
    assert made["scopes"] == ["submit", "read"]
    assert made["limits"] == NO_LIMITS | {"queued_jobs": 7, "monthly_credits": 2.5}
    with server.client(token) as laptop:
        assert laptop.get("/v1/balance").status_code == 200
        listed = client.get("/v1/keys")
        assert made in listed.json()["keys"]
        assert token not in listed.text
        ended = client.delete(f"/v1/keys/{made['id']}").json()
        assert ended == made | {"revoked_at": ended["revoked_at"]}
        assert ended["revoked_at"]
        refused(laptop.get("/v1/balance"), 401, "unauthorized")


READS = [("GET", "/v1/balance"), ("GET", "/v1/requests/x/result"), ("GET", "/v1/requests/x/events")]
SUBMITS = [("POST", "/v1/models/test/instant"), ("POST", "/v1/requests/x/cancel")]
ADMINS = [
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/x"),
    ("GET", "/v1/admin/accounts"),
    ("POST", "/v1/admin/accounts"),
]
ANY = [("GET", "/v1/models"), ("GET", "/v1/models/test/instant"), ("GET", "/api/auth/me")]


@pytest.mark.parametrize(
    ("scope", "allowed"), [("submit", SUBMITS + ANY), ("read", READS + ANY), ("admin", ADMINS + ANY)]
)
def test_a_key_does_what_its_scope_says_and_nothing_else(server, client, scope, allowed):
    token = make(client, scopes=[scope])["key"]
    with server.client(token) as narrow:
        for method, path in READS + SUBMITS + ADMINS + ANY:
            answer = narrow.request(method, path, json={} if method == "POST" else None)
            is_forbidden = answer.status_code == 403
            assert is_forbidden is ((method, path) not in allowed), (method, path, answer.text)
            if is_forbidden:
                assert refused(answer, 403, "forbidden")["message"].startswith("This key lacks the scope '")


def test_what_is_not_known_asks_for_a_scope_too():
    assert needed_scope("GET", "/v1/anything") is Scope.READ
    assert needed_scope("PATCH", "/v1/anything") is Scope.SUBMIT
    assert needed_scope("POST", "/v1/models/a/b/quote") is Scope.READ
    assert needed_scope("GET", "/v1/keyskeeper") is Scope.READ


def test_only_the_owner_of_the_server_administers_it(server):
    routes = server.app.router.routes
    paths = [route.path for route in routes if isinstance(route, Route) and "/admin/" in route.path]
    assert len(paths) >= 5
    with server.client(NEIGHBOUR_KEY) as neighbour:
        for path in paths:
            for method in ("GET", "POST", "PUT", "DELETE"):
                refused(neighbour.request(method, path, json={}), 403, "forbidden")


def test_an_account_is_made_with_a_key_that_opens_it(server, client):
    made = client.post("/v1/admin/accounts", json={"email": "ann@example.org", "running_jobs": 2}).json()
    with server.client(made.pop("key")) as ann:
        assert ann.get("/api/auth/me").json()["email"] == "ann@example.org"
        assert [key["name"] for key in ann.get("/v1/keys").json()["keys"]] == ["first key"]
    assert made["limits"] == NO_LIMITS | {"running_jobs": 2}
    assert made in client.get("/v1/admin/accounts").json()["accounts"]
    changed = client.put(f"/v1/admin/accounts/{made['id']}/limits", json={"queued_jobs": 9}).json()
    assert changed["limits"] == NO_LIMITS | {"queued_jobs": 9}


def test_the_owner_keeps_everybodys_keys(server, client):
    address = f"/v1/admin/accounts/{NEIGHBOUR_ID}/keys"
    made = client.post(address, json={"name": "spare"}).json()
    token = made.pop("key")
    assert made in client.get(address).json()["keys"]
    with server.client(token) as neighbour:
        assert neighbour.get("/api/auth/me").json()["id"] == NEIGHBOUR_ID
        assert client.delete(f"/v1/admin/keys/{made['id']}").status_code == 200
        refused(neighbour.get("/api/auth/me"), 401, "unauthorized")
    for method, path in (("GET", "nobody/keys"), ("POST", "nobody/keys"), ("PUT", "nobody/limits")):
        answer = client.request(method, f"/v1/admin/accounts/{path}", json={"name": "x"})
        assert answer.status_code in (404, 422)


def test_another_accounts_key_is_like_an_unknown_one(server, client):
    mine = make(client)["id"]
    with server.client(NEIGHBOUR_KEY) as neighbour:
        theirs, unknown = (neighbour.delete(f"/v1/keys/{key_id}") for key_id in (mine, "A" * 22))
        assert theirs.status_code == unknown.status_code == 404
        assert theirs.content == unknown.content
        assert mine not in neighbour.get("/v1/keys").text


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({}, "name", "is required"),
        ({"name": " "}, "name", "must not be empty"),
        ({"name": "x" * 101}, "name", "must have at most 100 characters; got 101"),
        ({"name": "x", "scopes": []}, "scopes", "must have at least 1 items; got 0"),
        ({"name": "x", "scopes": ["root"]}, "scopes[0]", 'must be one of submit, read, admin; got "root"'),
        ({"name": "x", "queued_jobs": 0}, "queued_jobs", "must be between 1 and 1000000000; got 0"),
        ({"name": "x", "queued_jobs": "5"}, "queued_jobs", 'must be an integer; got "5"'),
        ({"name": "x", "monthly_credits": -1}, "monthly_credits", "must not be negative"),
        ({"name": "x", "monthly_credits": 0.0000001}, "monthly_credits", "must have at most 6 decimals"),
        ({"name": "x", "monthly_credits": True}, "monthly_credits", "must be a number of US dollars"),
        ({"name": "x", "expires_in_days": 0}, "expires_in_days", "must be between 1 and 3650; got 0"),
        ({"name": "x", "queued": 1}, "queued", "is not a field; did you mean queued_jobs?"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_by_name(client, fields, field, message):
    problem = refused(client.post("/v1/keys", json=fields), 422, "invalid_input")["fields"][0]
    assert problem["field"] == field
    assert problem["message"].startswith(message)


def test_an_address_that_is_none_is_refused_in_korean(client):
    answer = client.post("/v1/admin/accounts?lang=ko", json={"email": "ann"})
    [problem] = refused(answer, 422, "invalid_input")["fields"]
    assert problem == {"field": "email", "message": "이메일 주소여야 합니다"}


def test_the_first_key_may_do_everything(server):
    with server.client(OWNER_KEY) as owner:
        assert owner.get("/v1/keys").json()["keys"][0]["scopes"] == ["submit", "read", "admin"]


def test_requests_per_minute_are_counted_and_told(server, client):
    token = make(client, requests_per_minute=2)["key"]
    with server.client(token) as limited:
        for left in ("1", "0"):
            answer = limited.post("/v1/models/test/instant", json={})
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-limit"] == "2"
            assert answer.headers["x-ratelimit-remaining"] == left
            assert 0 < int(answer.headers["x-ratelimit-reset"]) <= 60
        answer = limited.post("/v1/models/test/instant", json={})
        assert "may submit 2 requests in a minute" in refused(answer, 429, "rate_limited")["message"]
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert answer.headers["x-ratelimit-remaining"] == "0"
        assert limited.get("/v1/balance").status_code == 200
    unlimited = client.post("/v1/models/test/instant", json={})
    assert not [name for name in unlimited.headers if name.startswith("x-ratelimit")]


def test_a_full_queue_is_told_with_when_to_come_back(server, client):
    token = make(client, queued_jobs=1)["key"]
    with server.client(token) as limited:
        assert limited.post("/v1/models/test/instant", json={}).status_code == 200
        answer = limited.post("/v1/models/test/instant", json={})
        assert "may have 1 requests in the queue" in refused(answer, 429, "rate_limited")["message"]
        assert answer.headers["retry-after"] == "5"
