"""What goes beyond the seeds' wire, over a real connection to a real server with a real worker."""

from __future__ import annotations

import time

import pytest

from tests.serving import served

SLOW = "/v1/models/test/slow"
ENDLESS = {"num_inference_steps": 1000}


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with served(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
def http(process):
    with process.http() as opened:
        yield opened


def until(http, request_id, *statuses):
    give_up_s = time.monotonic() + 60
    while time.monotonic() < give_up_s:
        result = http.get(f"/v1/requests/{request_id}/result?include_cost=true").json()
        if result["status"] in statuses:
            return result
        time.sleep(0.05)
    raise AssertionError(result)


def test_submit_and_result_in_one_call_and_again_under_the_key(http):
    headers = {"Prefer": "wait=60", "Idempotency-Key": "one-call"}
    first = http.post("/v1/models/test/instant", json={"seed": 3}, headers=headers, timeout=90)
    assert first.json()["status"] == "succeeded"
    assert first.json()["output"]["image"].startswith("http")
    again = http.post("/v1/models/test/instant", json={"seed": 3}, headers=headers)
    assert again.json() == first.json()


def test_a_running_request_ends_at_its_next_step(http):
    request_id = http.post(SLOW, json=ENDLESS).json()["request_id"]
    until(http, request_id, "in_progress")
    assert http.post(f"/v1/requests/{request_id}/cancel").json()["outcome"] == "not_cancellable"
    answer = http.post(f"/v1/requests/{request_id}/cancel?running=true")
    assert (answer.status_code, answer.json()["outcome"]) == (202, "cancelling")
    assert "error" not in until(http, request_id, "cancelled")
    assert http.post(f"/v1/requests/{request_id}/cancel").json()["outcome"] == "cancelled"


def test_what_is_not_finished_in_time_is_cancelled(http):
    running, queued = (
        http.post(SLOW, json=ENDLESS, headers={"Cancel-After": "1s"}).json()["request_id"] for _ in range(2)
    )
    for request_id in (running, queued):
        result = until(http, request_id, "cancelled")
        assert result["error"]["code"] == "deadline_exceeded"
        assert "output" not in result


def test_what_is_finished_in_time_is_not(http):
    headers = {"Cancel-After": "600s", "Prefer": "wait=60"}
    answer = http.post("/v1/models/test/instant", json={}, headers=headers, timeout=90)
    assert answer.json()["status"] == "succeeded"
