"""`Prefer: wait=N`: submit and result in one call."""

from __future__ import annotations

import threading

import pytest

from safelight.jobs import JobError
from tests.api_server import running_server

SUBMIT = "/v1/models/test/instant"


@pytest.fixture
def served(database_url, tmp_path):
    with running_server(tmp_path / "data", database_url=database_url) as running, running.client() as client:
        yield running, client


class Waiting(threading.Thread):
    """A submission that waits for its result."""

    def __init__(self, client, **headers):
        super().__init__(daemon=True)
        self._client, self._headers = client, headers
        self.answer = None
        self.start()

    def run(self):
        self.answer = self._client.post(SUBMIT, json={}, headers=self._headers)

    def finished(self):
        self.join(30)
        return self.answer


def claimed(server):
    """The job that the waiting one has submitted."""
    while True:
        job = server.do(server.services.store.claim("worker-1", ["test/instant"]))
        if job:
            return job


def test_the_answer_is_the_result_when_it_comes_in_time(served):
    server, client = served
    waiting = Waiting(client, Prefer="wait=60")
    job = claimed(server)
    server.finish(job)
    answer = waiting.finished()
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=60"
    assert answer.json() == client.get(f"/v1/requests/{job.id}/result").json()
    assert answer.json()["status"] == "succeeded"


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_every_end_is_an_end(served, end):
    server, client = served
    waiting = Waiting(client, Prefer="wait=60")
    if end == "failed":
        server.do(server.services.store.fail(claimed(server), JobError("internal_error", "It broke.")))
    else:
        while not (listed := server.do(server.services.store.claim("w", ["test/instant"]))):
            pass
        server.do(server.services.store.release(listed))
        client.post(f"/v1/requests/{listed.id}/cancel")
    assert waiting.finished().json()["status"] == end


def test_the_answer_is_the_usual_one_when_it_takes_longer(served):
    _, client = served
    answer = client.post(SUBMIT, json={}, headers={"Prefer": "wait=1"})
    assert set(answer.json()) == {"request_id", "status_url", "result_url", "cancel_url"}


def test_a_retry_waits_too(served):
    server, client = served
    headers = {"Idempotency-Key": "k", "Prefer": "wait=60"}
    first = client.post(SUBMIT, json={}, headers={"Idempotency-Key": "k"}).json()
    waiting = Waiting(client, **headers)
    server.finish(claimed(server))
    assert waiting.finished().json()["request_id"] == first["request_id"]
    assert waiting.finished().json()["status"] == "succeeded"


def test_who_waits_holds_no_connection_of_the_database(postgres_url, tmp_path):
    """More of them than there are connections, and others are answered meanwhile."""
    with running_server(tmp_path / "data", database_url=postgres_url) as server, server.client() as client:
        waiting = [Waiting(client, Prefer="wait=60") for _ in range(12)]
        jobs = [claimed(server) for _ in waiting]
        assert client.get("/readyz").status_code == 200
        for job in jobs:
            server.finish(job)
        assert {one.finished().json()["status"] for one in waiting} == {"succeeded"}


def test_a_server_that_stops_lets_nobody_wait(tmp_path):
    with running_server(tmp_path / "data") as server, server.client() as client:
        waiting = Waiting(client, Prefer="wait=60")
        claimed(server)
        server.loop.call_soon_threadsafe(server.services.stopping.set)
        assert set(waiting.finished().json()) == {"request_id", "status_url", "result_url", "cancel_url"}


@pytest.mark.parametrize(
    "wish", ["wait=0", "wait=61", "wait=-1", "wait=1.5", "wait=x", "wait=", "wait=9999999999", "wait=5s"]
)
def test_a_wait_that_makes_no_sense_is_400(client, wish):
    answer = client.post(SUBMIT, json={}, headers={"Prefer": wish})
    assert (answer.status_code, answer.json()["error_code"]) == (400, 400005)
    assert "wait=30" in answer.json()["error_message"]


@pytest.mark.parametrize("wish", ["respond-async", "return=minimal, handling=lenient", "", "waiting=x"])
def test_other_preferences_are_left_alone(client, wish):
    answer = client.post(SUBMIT, json={}, headers={"Prefer": wish})
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize(
    "wish", ["WAIT=1", "respond-async, wait=1", 'wait="1"', "wait = 1; x=y", "wait=1, wait=x"]
)
def test_the_wait_is_found_among_others(client, wish):
    answer = client.post(SUBMIT, json={}, headers={"Prefer": wish})
    assert answer.headers["preference-applied"] == "wait=1"
