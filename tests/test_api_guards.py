"""What every request passes: keys, hosts, header bounds, and one shape for whatever goes wrong."""

from __future__ import annotations

import socket
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
import structlog

from safelight.accounts.accounts import OWNER_ID
from safelight.accounts.keys import NewKey
from safelight.api import guards
from safelight.api.answers import error_answer
from safelight.api.wire import MAX_ERROR_BYTES, error_body
from safelight.errors import FieldProblem, InvalidInput, SafelightError, StorageFull, Unavailable
from safelight.texts import Language
from tests.api_server import NEIGHBOUR_ID, OWNER_KEY, running_server

PROTECTED = [
    "GET /v1/models",
    "GET /v1/models/categories",
    "GET /v1/models/aidc-ai/ovis-image",
    "GET /v1/models/no/such/model",
    "POST /v1/models/aidc-ai/ovis-image",
    "POST /v1/models/no/such/model",
    "GET /v1/requests/AAAAAAAAAAAAAAAAAAAAAA/status",
    "GET /v1/requests/AAAAAAAAAAAAAAAAAAAAAA/result",
    "POST /v1/requests/AAAAAAAAAAAAAAAAAAAAAA/cancel",
    "GET /v1/balance",
    "GET /prod/v2/balance",
    "GET /api/auth/me",
    "GET /v1",
    "GET /v1/",
    "GET /v1/no-such-route",
    "DELETE /v1/models",
    "PATCH /api/auth/me",
    "HEAD /v1/models",
    "OPTIONS /v1/models",
    "GET /v1//models",
    "GET /%761/models",
]

BAD_HEADERS = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": OWNER_KEY},
    {"authorization": f"Basic {OWNER_KEY}"},
    {"authorization": f"Bearer {OWNER_KEY}x"},
    {"authorization": f"Bearer {OWNER_KEY[:-1]}"},
    {"authorization": f"Bearer {OWNER_KEY.upper()}"},
    {"authorization": f"Bearer  {OWNER_KEY}"},
    {"authorization": f"Bearer {OWNER_KEY}, Bearer {OWNER_KEY}"},
    {"authorization": "Bearer " + "a" * 10_000},
    {"authorization": "Bearer ' OR 1=1 --"},
    {"x-api-key": OWNER_KEY},
]


def error_of(answer, status, code, number):
    assert answer.status_code == status, answer.text[:300]
    body = answer.json()
    assert set(body) == {"error_code", "error_message", "error"}
    assert body["error_code"] == number
    assert body["error"]["code"] == code
    assert body["error"]["message"] == body["error_message"]
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.content) <= MAX_ERROR_BYTES
    return body


@pytest.mark.parametrize("route", PROTECTED)
def test_without_a_key_every_route_gives_the_same_answer(server, route):
    method, path = route.split()
    with server.client(key=None) as client:
        answer = client.request(method, path)
        reference = client.get("/v1/balance")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.content == (b"" if method == "HEAD" else reference.content)


@pytest.mark.parametrize("headers", BAD_HEADERS, ids=lambda headers: str(headers)[:50])
def test_a_bad_key_is_unauthorized(server, headers):
    with server.client(key=None) as client:
        error_of(client.get("/v1/balance", headers=headers), 401, "unauthorized", 400004)


def test_a_revoked_key_is_like_an_unknown_one(server):
    key, token = server.do(server.services.keys.create(OWNER_ID, NewKey("former")))
    with server.client(token) as revoked, server.client("x" * 40) as unknown:
        assert revoked.get("/v1/balance").status_code == 200
        server.do(server.services.keys.revoke(key.id))
        assert revoked.get("/v1/balance").content == unknown.get("/v1/balance").content
        assert revoked.get("/v1/balance").status_code == 401


def test_two_authorization_headers_are_refused(server):
    with server.client(key=None) as client:
        headers = [("authorization", f"Bearer {OWNER_KEY}"), ("authorization", f"Bearer {OWNER_KEY}")]
        error_of(client.get("/v1/balance", headers=headers), 401, "unauthorized", 400004)


def test_two_hosts_are_refused(server):
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert raw(server, request).startswith(b"HTTP/1.1 400 ")


def test_other_headers_may_come_twice(client):
    assert client.get("/v1/balance", headers=[("x-a", "1"), ("x-a", "2")]).status_code == 200


def test_the_scheme_is_case_insensitive(server):
    with server.client(key=None) as client:
        assert client.get("/v1/balance", headers={"authorization": f"bearer {OWNER_KEY}"}).status_code == 200


def test_the_body_of_an_unauthorized_request_is_not_judged(server):
    with server.client(key=None) as client:
        error_of(client.post("/v1/models/no/such", content=b"{"), 401, "unauthorized", 400004)


def test_who_is_asking(server, client):
    assert client.get("/api/auth/me").json() == {
        "id": "owner",
        "email": "owner@localhost",
        "token_type": "api_key",
    }
    for path in ("/v1/balance", "/prod/v2/balance"):
        assert client.get(path).json() == {"balance_usd": 0, "currency": "USD", "unmetered": True}


def test_a_metered_account_is_not_called_unmetered(server):
    with server.client("other-key-for-tests-0123456789abcdef") as client:
        assert client.get("/v1/balance").json() == {"balance_usd": 0, "currency": "USD", "held_usd": 0}
        assert client.get("/api/auth/me").json()["id"] == NEIGHBOUR_ID


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/nothing", "/docs", "/redoc", "/v1/models/../../etc", "/files"]
)
def test_an_unknown_path_is_404_in_our_shape(client, path):
    answer = client.get(path)
    assert answer.json()["error"]["code"] in ("not_found", "model_not_found")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("route", "allowed"),
    [
        ("POST /v1/balance", "GET, HEAD"),
        ("DELETE /v1/models", "GET, HEAD"),
        ("PUT /v1/models/aidc-ai/ovis-image", "GET, HEAD, POST"),
        ("GET /v1/requests/AAAAAAAAAAAAAAAAAAAAAA/cancel", "POST"),
        ("POST /v1/requests/AAAAAAAAAAAAAAAAAAAAAA/status", "GET, HEAD"),
        ("POST /healthz", "GET, HEAD"),
        ("DELETE /files/AAAAAAAAAAAAAAAAAAAAAA.png", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_ones(client, route, allowed):
    method, path = route.split()
    answer = client.request(method, path)
    error_of(answer, 405, "method_not_allowed", 405001)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/models/categories",
        "/v1/models/aidc-ai/ovis-image",
        "/v1/balance",
        "/healthz",
        "/readyz",
        "/api/auth/me",
        "/openapi.json",
    ],
)
def test_head_is_get_without_the_body(client, path):
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


def test_health_needs_no_key(server):
    with server.client(key=None) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready"}


def test_answers_are_neither_sniffed_nor_cached(client):
    for answer in (client.get("/v1/balance"), client.get("/v1/nothing")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_headers_over_32_kb_are_refused(client):
    error_of(client.get("/v1/balance", headers={"x-long": "a" * 33_000}), 400, "invalid_header", 400005)
    many = {f"x-{number}": "a" * 100 for number in range(400)}
    error_of(client.get("/v1/balance", headers=many), 400, "invalid_header", 400005)
    error_of(client.get("/v1/models?search=" + "a" * 33_000), 400, "invalid_header", 400005)
    assert client.get("/v1/balance", headers={"x-long": "a" * 30_000}).status_code == 200


def raw(server, data):
    """Send bytes and read the answer to its end."""
    target = urlsplit(server.url)
    with socket.create_connection((target.hostname, target.port)) as connection:
        connection.settimeout(10)
        connection.sendall(data)
        received = b""
        with suppress(ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
        return received


def test_a_head_without_end_is_hung_up_on(server, client):
    target = urlsplit(server.url)
    with (
        socket.create_connection((target.hostname, target.port), timeout=10) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(100):
            connection.sendall(b"a" * 20_000)
        assert connection.recv(12) in (b"", b"HTTP/1.1 400")
    assert client.get("/v1/balance").status_code == 200


@pytest.mark.parametrize(
    "data",
    [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"],
)
def test_what_is_no_http_is_no_server_error(server, data):
    assert b" 500 " not in raw(server, data)[:20]


@pytest.mark.parametrize(
    "host", ["a b", "x/../y", "evil.example@good", "a\x80b", "[::1", "x:99999999", "x" * 300]
)
def test_a_malformed_host_is_refused(server, host):
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert raw(server, request.encode("latin-1")).startswith(b"HTTP/1.1 400 ")


def test_with_a_public_url_only_its_host_and_loopback_are_served(tmp_path):
    with running_server(tmp_path / "data", public_url="https://images.example.org") as server:
        for host, status in [
            ("images.example.org", 200),
            ("IMAGES.example.org:443", 200),
            ("localhost:1234", 200),
            ("127.0.0.1", 200),
            ("[::1]:80", 200),
            ("evil.example", 400),
            ("images.example.org.evil.example", 400),
        ]:
            with server.client(host=host) as client:
                assert client.get("/v1/balance").status_code == status, host
                assert client.get("/healthz").status_code == 200


def test_an_unexpected_error_is_500_without_details_and_logged_without_values(tmp_path):
    with (
        structlog.testing.capture_logs() as logs,
        running_server(tmp_path / "data") as server,
        server.client() as client,
    ):
        server.services.store.standing = None
        answer = client.get("/v1/requests/secret-id/status?token=secret")
    error_of(answer, 500, "internal_error", 500001)
    (entry,) = [log for log in logs if log["event"] == "unexpected_error"]
    assert entry["endpoint"] == "status"
    assert entry["error"] == "TypeError"
    assert "secret" not in str(entry)


def test_a_job_failure_in_the_api_is_a_500_without_its_words():
    assert error_answer(SafelightError("the password is x"), Language.EN).body.count(b"password") == 0


@pytest.mark.parametrize("error", [Unavailable(retry_after_s=7), Unavailable(), StorageFull()])
def test_retry_after_stands_where_trying_again_helps(error):
    answer = error_answer(error, Language.EN)
    assert answer.headers["retry-after"] == str(error.retry_after_s or 5)


def test_no_error_is_over_4_kb():
    fields = tuple(FieldProblem("필드" * 500, "말" * 5000) for _ in range(100))
    body = error_body(InvalidInput("\ud800" + "말" * 100_000, fields=fields), Language.EN)
    assert 1000 < len(body) <= MAX_ERROR_BYTES
    body.decode("utf-8")


def test_the_openapi_document_describes_every_route(server):
    with server.client(key=None) as client:
        document = client.get("/openapi.json").json()
    paths = document["paths"]
    of_models = {f"/v1/models/{model.id}" for model in server.services.catalogue.all()}
    routes = {f"{method.upper()} {path}" for path in set(paths) - of_models for method in paths[path]}
    assert routes == {
        "POST /v1/models/{model_id}",
        "GET /v1/models",
        "GET /v1/models/categories",
        "GET /v1/models/{model_id}",
        "GET /v1/requests/{request_id}/status",
        "GET /v1/requests/{request_id}/result",
        "GET /v1/requests/{request_id}/events",
        "POST /v1/requests/{request_id}/cancel",
        "GET /v1/requests",
        "DELETE /v1/requests/{request_id}",
        "POST /v1/files",
        "GET /v1/files",
        "DELETE /v1/files/{file_id}",
        "GET /v1/webhooks/secret",
        "POST /v1/webhooks/secret/rotate",
        "GET /v1/webhooks/deliveries",
        "GET /v1/webhooks/deliveries/{event_id}",
        "POST /v1/webhooks/deliveries/{event_id}/redeliver",
        "GET /v1/balance",
        "GET /prod/v2/balance",
        "GET /api/auth/me",
        "POST /v1/models/{model_id}/quote",
        "GET /v1/ledger",
        "GET /v1/usage",
        "POST /v1/admin/accounts/{account_id}/grants",
        "GET /v1/admin/accounts/{account_id}/ledger",
        "GET /v1/admin/accounts/{account_id}/usage",
        "GET /v1/admin/audit",
        "GET /v1/keys",
        "POST /v1/keys",
        "DELETE /v1/keys/{key_id}",
        "GET /v1/admin/accounts",
        "POST /v1/admin/accounts",
        "PUT /v1/admin/accounts/{account_id}/limits",
        "PUT /v1/admin/accounts/{account_id}/password",
        "GET /v1/admin/accounts/{account_id}/keys",
        "POST /v1/admin/accounts/{account_id}/keys",
        "DELETE /v1/admin/keys/{key_id}",
        "POST /v1/images/generations",
        "POST /v1/images/edits",
        "GET /files/{name}",
        "POST /api/cli-auth/start",
        "POST /api/cli-auth/poll",
        "POST /api/cli-auth/approve",
        "GET /examples/{name}",
        "GET /metrics",
        "GET /healthz",
        "GET /readyz",
    }
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, methods in paths.items():
        protected = path.startswith(guards.PROTECTED) and path not in guards.OPEN
        for operation in methods.values():
            assert bool(operation["security"]) == protected
            assert {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"} == {
                part[1:-1] for part in path.split("/") if part.startswith("{")
            }
