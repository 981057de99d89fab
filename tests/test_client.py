"""The Python client against a real server; the test plays the worker."""

from __future__ import annotations

import http.server
import threading

import pytest

from safelight.client import APIError, Client, ConnectionFailed, RequestCancelled, RequestFailed
from tests.api_server import OWNER_KEY, PNG


@pytest.fixture
def safelight(server):
    with Client(server.url, OWNER_KEY) as opened:
        yield opened


@pytest.fixture
def elsewhere():
    """A server at another address; yields its URL and the headers that it was sent."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"an image")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}/image.png", seen
        made.shutdown()
        thread.join()


def test_a_request_goes_all_the_way(server, safelight):
    request_id = safelight.submit("test/instant", {"seed": 7}).request_id
    assert safelight.status(request_id)["status"] == "in_queue"
    server.finish(server.claim(request_id))
    seen = []
    result = safelight.wait(request_id, seen.append)
    assert [status["status"] for status in seen] == ["completed"]
    assert result["status"] == "succeeded"
    assert safelight.download(result["output"]["image"]) == PNG


def test_waiting_polls_until_the_end(server, safelight):
    request_id = safelight.submit("test/instant", {}).request_id
    seen = []

    def work(status):
        seen.append(status["status"])
        if len(seen) == 2:
            server.finish(server.claim(request_id))

    safelight.wait(request_id, work)
    assert seen == ["in_queue", "in_queue", "completed"]


def test_a_failed_request_raises_its_code(server, safelight):
    request_id = safelight.submit("test/instant", {}).request_id
    server.fail(server.claim(request_id), "corrupt_image", "The image is damaged.")
    with pytest.raises(RequestFailed, match="The image is damaged") as caught:
        safelight.wait(request_id)
    assert caught.value.code == "corrupt_image"


def test_a_cancelled_request_raises(safelight):
    request_id = safelight.submit("test/instant", {}).request_id
    assert safelight.cancel(request_id)["outcome"] == "cancelled"
    with pytest.raises(RequestCancelled):
        safelight.wait(request_id)


def test_a_refusal_carries_status_code_message_and_fields(safelight):
    with pytest.raises(APIError) as caught:
        safelight.submit("test/instant", {"num_inference_steps": 0})
    error = caught.value
    assert (error.http_status, error.code) == (422, "invalid_input")
    assert error.fields[0]["field"] == "num_inference_steps"
    assert "num_inference_steps" in error.message


def test_a_wrong_key_is_refused(server):
    with Client(server.url, "w" * 40) as stranger, pytest.raises(APIError) as caught:
        stranger.balance()
    assert (caught.value.http_status, caught.value.code) == (401, "unauthorized")


def test_the_catalogue_and_its_entries(safelight):
    assert "test/echo" in {model["model_id"] for model in safelight.models()}
    assert safelight.model("test/echo")["input_schema"]["required"] == ["image_url"]
    assert safelight.balance()["unmetered"] is True


def test_no_server_is_an_error_of_its_own():
    with Client("http://127.0.0.1:1", "k" * 32) as client, pytest.raises(ConnectionFailed, match=":1"):
        client.balance()


def test_what_is_no_answer_of_ours_is_an_error_too(elsewhere):
    url, _ = elsewhere
    with Client(url.removesuffix("/image.png"), "k" * 32) as client, pytest.raises(APIError) as caught:
        client.submit("test/instant", {})
    assert (caught.value.http_status, caught.value.code) == (501, "unknown")


def test_the_key_is_not_shown_to_another_host(safelight, elsewhere):
    url, seen = elsewhere
    assert safelight.download(url) == b"an image"
    assert "authorization" not in {name.lower() for name in seen[0]}


def test_address_and_key_come_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("SAFELIGHT_BASE_URL", server.url + "/")
    monkeypatch.setenv("SAFELIGHT_API_KEY", OWNER_KEY)
    with Client() as client:
        assert client.balance()["currency"] == "USD"


def test_a_server_on_this_machine_is_reached_past_a_proxy(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with Client(server.url, OWNER_KEY) as client:
        assert client.balance()["currency"] == "USD"
