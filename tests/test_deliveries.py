"""Webhooks over real connections: what comes, signed; what is tried again; and what is never called."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time

import pytest

from safelight.db.clock import SteadyClock
from safelight.queue.webhooks import BACKOFF_S, Webhooks
from safelight.upkeep.deliveries import PER_ACCOUNT, Deliveries
from tests.api_server import NEIGHBOUR_KEY, OWNER_KEY, running_server
from tests.receivers import running_receiver
from tests.serving import served
from tests.test_idempotency import Clocks

SUBMIT = "/v1/models/test/instant"


@pytest.fixture
def receiver():
    with running_receiver() as running:
        yield running


class Post:
    """A server, and the deliveries of one that runs beside it by a clock that the test moves."""

    def __init__(self, server):
        self.server = server
        self.clocks = Clocks()
        self.clocks.wall_s = time.time()
        clock = SteadyClock(lambda: self.clocks.wall_s, lambda: self.clocks.elapsed_s)
        known = server.services
        self.deliveries = Deliveries(Webhooks(known.database, clock), known.store, known.fetcher)

    def goes_round(self):
        """Deliver what is due, and wait for what becomes of it."""

        async def once():
            async with asyncio.TaskGroup() as group:
                await self.deliveries.tick(group)

        self.server.do(once())

    def submit(self, client, url, **parameters):
        answer = client.post(SUBMIT, json={}, params={"webhook": url, **parameters})
        assert answer.status_code == 200, answer.text
        return answer.json()["request_id"]


@pytest.fixture
def post(database_url, tmp_path, receiver):
    allow = f"127.0.0.1:{receiver.port}"
    with running_server(tmp_path / "data", database_url=database_url, fetch_allow=allow) as server:
        yield Post(server)


@pytest.fixture
def client(post):
    with post.server.client() as opened:
        yield opened


def is_signed(delivered, secret):
    signed = delivered.headers["safelight-timestamp"].encode() + b"." + delivered.body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return delivered.headers["safelight-signature"] == f"sha256={expected}"


def test_the_end_is_told_with_its_result_and_signed(post, client, receiver):
    request_id = post.submit(client, receiver.url("/hook?a=b"))
    post.goes_round()
    assert receiver.delivered == []
    post.server.finish(post.server.claim(request_id))
    post.goes_round()
    (delivered,) = receiver.delivered
    assert delivered.path == "/hook?a=b"
    assert delivered.headers["content-type"] == "application/json"
    assert abs(int(delivered.headers["safelight-timestamp"]) - time.time()) < 60
    content = delivered.content
    assert (content["event"], content["request_id"]) == ("done", request_id)
    assert content["event_id"] == delivered.headers["safelight-event-id"]
    assert content["data"] == client.get(f"/v1/requests/{request_id}/result").json()
    secret = client.get("/v1/webhooks/secret").json()["secret"]
    assert is_signed(delivered, secret)
    assert not is_signed(delivered, secret + "x")
    assert OWNER_KEY not in str(delivered)


def test_the_way_there_is_told_in_order(post, client, receiver):
    request_id = post.submit(client, receiver.url(), webhook_intermediate_status="true")
    post.server.finish(post.server.claim(request_id))
    receiver.answers = [503]
    for _ in range(3):
        post.goes_round()
        post.clocks.elapsed_s += BACKOFF_S[0]
    contents = [delivered.content for delivered in receiver.delivered]
    told = [(content["event"], content["data"]["status"]) for content in contents]
    assert told == [("status", "in_progress")] * 2 + [("done", "succeeded")]
    ids = [content["event_id"] for content in contents]
    assert ids[0] == ids[1] != ids[2]


def test_what_fails_is_tried_again_with_a_new_signature(post, client, receiver):
    request_id = post.submit(client, receiver.url())
    post.server.finish(post.server.claim(request_id))
    receiver.answers = [500]
    post.goes_round()
    post.goes_round()
    assert len(receiver.delivered) == 1
    first = client.get(f"/v1/webhooks/deliveries?request_id={request_id}").json()["deliveries"][0]
    assert (first["state"], first["attempts"]) == ("pending", 1)
    assert first["next_attempt_at"]
    old = client.get("/v1/webhooks/secret").json()["secret"]
    new = client.post("/v1/webhooks/secret/rotate").json()["secret"]
    post.clocks.elapsed_s += BACKOFF_S[0]
    post.goes_round()
    one, other = receiver.delivered
    assert one.body == other.body
    assert (is_signed(one, old), is_signed(other, new)) == (True, True)
    shown = client.get(f"/v1/webhooks/deliveries/{first['event_id']}").json()
    assert (shown["state"], shown["attempts"]) == ("delivered", 2)
    assert [entry["http_status"] for entry in shown["tries"]] == [500, 200]


def test_a_redirect_is_no_delivery_and_is_not_followed(post, client, receiver):
    request_id = post.submit(client, receiver.url())
    post.server.finish(post.server.claim(request_id))
    receiver.answers, receiver.location = [307], receiver.url("/elsewhere")
    post.goes_round()
    assert [delivered.path for delivered in receiver.delivered] == ["/hook"]
    (entry,) = client.get("/v1/webhooks/deliveries").json()["deliveries"]
    assert entry["state"] == "pending"


@pytest.mark.parametrize("how", ["closed", "private"])
def test_why_nothing_could_be_delivered_is_not_told(post, client, receiver, how, monkeypatch):
    request_id = post.submit(client, receiver.url())
    post.server.finish(post.server.claim(request_id))
    if how == "closed":
        receiver.close()
    else:  # It was allowed when it was accepted.
        monkeypatch.setattr(post.server.services.fetcher, "_allow", frozenset())
    post.goes_round()
    (entry,) = client.get("/v1/webhooks/deliveries").json()["deliveries"]
    shown = client.get(f"/v1/webhooks/deliveries/{entry['event_id']}").json()
    assert [one["http_status"] for one in shown["tries"]] == [None]
    assert set(shown["tries"][0]) == {"at", "http_status", "seconds"}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "https://127.0.0.1/hook",
        "https://localhost/hook",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/",
        "https://user:password@example.org/",
        "https://example.org:8443/",
        "ftp://example.org/",
        "nonsense",
    ],
)
def test_a_receiver_that_may_not_be_called_is_422_and_named(post, client, url):
    answer = client.post(SUBMIT, json={}, params={"webhook": url})
    assert (answer.status_code, answer.json()["error_code"]) == (422, 422003)
    assert answer.json()["error"]["fields"][0]["field"] == "webhook"
    assert client.get("/v1/requests").json()["requests"] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"webhook": "https://example.org/" + "a" * 2048},
        {"webhook": "https://example.org/", "webhook_intermediate_status": "perhaps"},
    ],
)
def test_a_parameter_that_makes_no_sense_is_422(post, client, parameters):
    assert client.post(SUBMIT, json={}, params=parameters).json()["error_code"] == 422001


def test_a_slow_receiver_holds_up_nobody_else(post, client, receiver):
    receiver.slow_paths = {"/slow"}
    ids = [post.submit(client, receiver.url("/slow")) for _ in range(PER_ACCOUNT + 2)]
    with post.server.client(NEIGHBOUR_KEY) as neighbour:
        other = post.submit(neighbour, receiver.url("/quick"))
    for _ in (*ids, other):
        post.server.finish(post.server.do(post.server.services.store.claim("worker-1", ["test/instant"])))

    async def two_rounds():
        async with asyncio.TaskGroup() as group:
            await post.deliveries.tick(group)
            while not any(one.path == "/quick" for one in receiver.delivered):
                await asyncio.sleep(0.01)
            await post.deliveries.tick(group)
            slow = [one for one in receiver.delivered if one.path == "/slow"]
            assert len(slow) <= PER_ACCOUNT
            receiver.go_on.set()

    post.server.do(two_rounds())
    post.goes_round()
    post.goes_round()
    assert sum(one.path == "/slow" for one in receiver.delivered) == len(ids)


def test_a_delivery_is_asked_for_again(post, client, receiver):
    request_id = post.submit(client, receiver.url())
    post.server.finish(post.server.claim(request_id))
    post.goes_round()
    (entry,) = client.get("/v1/webhooks/deliveries").json()["deliveries"]
    assert entry["state"] == "delivered"
    answer = client.post(f"/v1/webhooks/deliveries/{entry['event_id']}/redeliver")
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    post.goes_round()
    first, second = receiver.delivered
    assert first.content["event_id"] == second.content["event_id"] == entry["event_id"]


def test_the_log_is_read_page_by_page_and_only_by_its_account(post, client, receiver):
    ids = [post.submit(client, receiver.url()) for _ in range(3)]
    for request_id in ids:
        client.post(f"/v1/requests/{request_id}/cancel")
    first = client.get("/v1/webhooks/deliveries?limit=2").json()
    second = client.get(f"/v1/webhooks/deliveries?limit=2&cursor={first['next_cursor']}").json()
    listed = [entry["request_id"] for entry in first["deliveries"] + second["deliveries"]]
    assert (listed, second["next_cursor"]) == (ids[::-1], None)
    event_id = first["deliveries"][0]["event_id"]
    with post.server.client(NEIGHBOUR_KEY) as neighbour:
        assert neighbour.get("/v1/webhooks/deliveries").json()["deliveries"] == []
        path = f"/v1/webhooks/deliveries/{event_id}"
        unknown = path.replace(event_id, "0" * 32)
        for method, end in (("GET", ""), ("POST", "/redeliver")):
            theirs = neighbour.request(method, path + end)
            assert theirs.status_code == 404
            assert theirs.content == neighbour.request(method, unknown + end).content
        assert neighbour.get("/v1/webhooks/secret").json() != client.get("/v1/webhooks/secret").json()
    assert client.get("/v1/webhooks/deliveries/..%2f").status_code == 404


def test_a_real_server_delivers_what_its_worker_drew_and_what_a_dead_one_left(tmp_path, receiver):
    settings = {"fetch_allow": f"127.0.0.1:{receiver.port}"}
    with served(tmp_path / "data", **settings) as process, process.http() as http:
        receiver.answers = [500]
        address = {"webhook": receiver.url()}
        http.post(SUBMIT, json={}, params=address).raise_for_status()
        wait_for(lambda: len(receiver.delivered) == 1)
        process.process.kill()
        process.process.wait()
    # It died with a retry to come; its successor knows of it.
    with served(tmp_path / "data", **settings) as process:
        wait_for(lambda: len(receiver.delivered) == 2)
    first, second = receiver.delivered
    assert first.content["event_id"] == second.content["event_id"]
    assert second.content["data"]["status"] == "succeeded"


def wait_for(condition, timeout_s=60):
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
