"""Submit, status, result, cancel over SQLite and Postgres; the test plays the worker."""

from __future__ import annotations

import re

import pytest

from tests.api_server import PNG, running_server

TIMESTAMP = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def served(database_url, tmp_path):
    with running_server(tmp_path / "data", database_url=database_url) as running, running.client() as client:
        yield running, client


def test_a_request_goes_from_the_queue_to_its_image(served):
    server, client = served
    submitted = client.post("/v1/models/test/instant", json={"prompt": "a red house"})
    assert submitted.status_code == 200
    request_id = submitted.json()["request_id"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", request_id)
    address = f"{server.url}/v1/requests/{request_id}"
    assert submitted.json() == {
        "request_id": request_id,
        "status_url": f"{address}/status",
        "result_url": f"{address}/result",
        "cancel_url": f"{address}/cancel",
    }

    urls = {"status_url": f"{address}/status", "result_url": f"{address}/result"}
    status = client.get(f"{address}/status")
    assert status.status_code == 200
    assert status.json() == {"request_id": request_id, "status": "in_queue", "queue_position": 0, **urls}
    early = client.get(f"{address}/result").json()
    assert early["status"] == "in_queue"
    assert early["finished_at"] is None
    assert "output" not in early

    job = server.claim(request_id)
    assert client.get(f"{address}/status").json() == {
        "request_id": request_id,
        "status": "in_progress",
        **urls,
    }
    assert client.get(f"{address}/result").json()["status"] == "in_progress"

    (file_id,) = server.finish(job)
    assert client.get(f"{address}/status").json() == {"request_id": request_id, "status": "completed", **urls}
    result = client.get(f"{address}/result").json()
    assert re.fullmatch(TIMESTAMP, result.pop("created_at"))
    assert re.fullmatch(TIMESTAMP, result.pop("finished_at"))
    assert result == {
        "request_id": request_id,
        "status": "succeeded",
        "output": {"image": f"{server.url}/files/{file_id}.png"},
        "model_id": "test/instant",
        "seed": 7,
        "weights": "nano",
        "timings": {"generate": 0.25},
        "notes": ["a note"],
    }
    image = client.get(result["output"]["image"])
    assert image.content == PNG


def test_a_failure_reads_completed_in_the_status_and_failed_in_the_result(served):
    server, client = served
    request_id = server.submit(client)
    server.fail(server.claim(request_id), "out_of_memory", "Ask for a smaller image.")
    assert client.get(f"/v1/requests/{request_id}/status").json()["status"] == "completed"
    result = client.get(f"/v1/requests/{request_id}/result").json()
    assert result["status"] == "failed"
    assert result["error"] == {"code": "out_of_memory", "message": "Ask for a smaller image."}
    assert "output" not in result
    assert re.fullmatch(TIMESTAMP, result["finished_at"])
    assert "error_code" not in result


def test_a_queued_request_is_cancelled_and_stays_it(served):
    server, client = served
    request_id = server.submit(client)
    for _ in range(2):
        answer = client.post(f"/v1/requests/{request_id}/cancel")
        assert answer.status_code == 202
        assert answer.json() == {"request_id": request_id, "status": "cancelled", "outcome": "cancelled"}
    assert client.get(f"/v1/requests/{request_id}/status").json()["status"] == "cancelled"
    result = client.get(f"/v1/requests/{request_id}/result").json()
    assert result["status"] == "cancelled"
    assert "output" not in result
    assert server.do(server.services.store.claim("w", ["test/instant"])) is None


def test_a_request_in_progress_or_finished_is_not_cancellable(served):
    server, client = served
    request_id = server.submit(client)
    job = server.claim(request_id)
    running = client.post(f"/v1/requests/{request_id}/cancel")
    assert running.status_code == 202
    assert running.json() == {
        "request_id": request_id,
        "status": "in_progress",
        "outcome": "not_cancellable",
    }
    server.finish(job)
    ended = client.post(f"/v1/requests/{request_id}/cancel").json()
    assert ended == {"request_id": request_id, "status": "completed", "outcome": "not_cancellable"}


def test_a_request_in_progress_is_stopped_where_that_is_asked_for(served):
    server, client = served
    request_id = server.submit(client)
    job = server.claim(request_id)
    address = f"/v1/requests/{request_id}/cancel"
    for path in (f"{address}?running=true", address):
        answer = client.post(path)
        assert answer.status_code == 202
        assert answer.json() == {
            "request_id": request_id,
            "status": "in_progress",
            "outcome": "cancelling",
        }
    assert server.do(server.services.store.release(job))
    again = client.post(f"{address}?running=true").json()
    assert again == {"request_id": request_id, "status": "cancelled", "outcome": "cancelled"}


@pytest.mark.parametrize("running", ["true", "false"])
def test_what_waits_or_has_ended_is_cancelled_as_ever(served, running):
    server, client = served
    queued, ended = server.submit(client), server.submit(client)
    server.do(server.services.store.cancel(queued, "owner"))
    server.finish(server.claim(ended))
    outcomes = [
        client.post(f"/v1/requests/{request_id}/cancel?running={running}").json()["outcome"]
        for request_id in (queued, ended)
    ]
    assert outcomes == ["cancelled", "not_cancellable"]
    assert client.post(f"/v1/requests/{ended}/cancel?running=perhaps").status_code == 422


def test_the_queue_position_counts_the_requests_ahead(served):
    server, client = served
    ids = [server.submit(client) for _ in range(3)]
    positions = [client.get(f"/v1/requests/{i}/status").json()["queue_position"] for i in ids]
    assert positions == [0, 1, 2]
    client.post(f"/v1/requests/{ids[0]}/cancel")
    assert client.get(f"/v1/requests/{ids[2]}/status").json()["queue_position"] == 1


def test_several_images_are_a_list(served):
    server, client = served
    request_id = server.submit(client)
    ids = server.finish(server.claim(request_id), images=2, content_type="image/jpeg")
    output = client.get(f"/v1/requests/{request_id}/result").json()["output"]
    assert output == {"images": [f"{server.url}/files/{i}.jpg" for i in ids]}


def test_the_cost_is_a_number_and_comes_when_asked_for(served):
    server, client = served
    address = f"/v1/requests/{server.submit(client)}/result"
    assert "cost" not in client.get(address).json()
    assert "cost" not in client.get(address, params={"include_cost": "false"}).json()
    assert client.get(address, params={"include_cost": "true"}).json()["cost"] == 0
    refused = client.get(address, params={"include_cost": "perhaps"})
    assert refused.status_code == 422
    assert refused.json()["error"]["fields"][0]["field"] == "include_cost"


def test_what_the_submission_left_out_is_settled_in_the_job(served):
    server, client = served
    request_id = server.submit(client, prompt="a tree")
    assert server.claim(request_id).input == {
        "prompt": "a tree",
        "num_inference_steps": 2,
        "seed": 0,
        "output_format": "png",
    }


def test_a_null_seed_is_drawn_and_kept(served):
    server, client = served
    seeds = []
    for _ in range(3):
        job = server.claim(server.submit(client, "test/album", image_urls=["https://example.org/a.png"]))
        seeds.append(job.input["seed"])
    assert all(isinstance(seed, int) and 0 <= seed < 2**53 for seed in seeds)
    assert len(set(seeds)) > 1


def test_an_unknown_id_is_not_found(served):
    _, client = served
    ids = ["A" * 22, "x", "a" * 129, "a%00b", "..%2F..%2Fetc", "%ED%A0%80", "ü", "%27", "A" * 21 + "%0a"]
    for request_id in ids:
        for method, name in (("GET", "status"), ("GET", "result"), ("POST", "cancel")):
            answer = client.request(method, f"/v1/requests/{request_id}/{name}")
            assert answer.status_code == 404, request_id
            assert answer.json()["error_code"] == 404001
            assert answer.json()["error"]["code"] == "not_found"


def test_urls_start_with_the_configured_public_url(tmp_path):
    public = "https://images.example.org/base"
    with (
        running_server(tmp_path / "data", public_url=public) as server,
        server.client(host="images.example.org") as client,
    ):
        answer = client.post("/v1/models/test/instant", json={}).json()
        request_id = answer["request_id"]
        assert answer["cancel_url"] == f"{public}/v1/requests/{request_id}/cancel"
        (file_id,) = server.finish(server.claim(request_id))
        result = client.get(f"/v1/requests/{request_id}/result").json()
        assert result["output"]["image"] == f"{public}/files/{file_id}.png"


def test_urls_follow_the_host_of_the_request(server):
    with server.client(host="nas.local:8123") as client:
        answer = client.post("/v1/models/test/instant", json={}).json()
    assert answer["status_url"].startswith("http://nas.local:8123/v1/requests/")
