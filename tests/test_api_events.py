import base64
import io
import json

import pytest
from PIL import Image

from safelight.api.events import Known
from safelight.jobs import Preview, Progress
from tests.api_server import NEIGHBOUR_KEY

PREVIEW = Preview(16, 8, b"\xff\0\0" * 128)


def heartbeat(server, job, step, preview=None):
    beat = {job.id: (job.attempt, Progress(step, 8, preview))}
    server.do(server.services.store.heartbeat("worker-1", beat))


def read(lines):
    """One event: (id, name, content)."""
    event = {}
    for line in lines:
        if not line:
            if event:
                return event["id"], event["event"], json.loads(event["data"])
            continue
        name, _, value = line.partition(":")
        event[name] = value.strip()
    return None


def test_progress_is_told_live_and_the_end_ends_it(server, client):
    request_id = server.submit(client)
    with client.stream("GET", f"/v1/requests/{request_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        _, name, content = read(lines)
        assert (name, content["status"], content["request_id"]) == ("status", "in_queue", request_id)
        job = server.claim(request_id)
        assert read(lines)[1:] == ("status", content | {"status": "in_progress"})
        heartbeat(server, job, 3, PREVIEW)
        assert read(lines)[1:] == ("progress", {"step": 3, "steps": 8})
        _, name, content = read(lines)
        assert name == "preview"
        head, _, data = content["image"].partition(",")
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert (head, image.size) == ("data:image/jpeg;base64", (16, 8))
        assert image.getpixel((8, 4))[0] > 240
        server.finish(job)
        _, name, content = read(lines)
        assert (name, content["status"]) == ("status", "completed")
        _, name, content = read(lines)
        assert (name, content["status"]) == ("done", "succeeded")
        assert content["output"]["image"].startswith("http")
        assert read(lines) is None


def test_who_comes_back_hears_only_what_is_new(server, client):
    request_id = server.submit(client)
    job = server.claim(request_id)
    heartbeat(server, job, 2)
    address = f"/v1/requests/{request_id}/events"
    with client.stream("GET", address) as stream:
        lines = stream.iter_lines()
        events = [read(lines), read(lines)]
    assert [name for _, name, _ in events] == ["status", "progress"]
    heartbeat(server, job, 5)
    with client.stream("GET", address, headers={"Last-Event-ID": events[-1][0]}) as stream:
        assert read(stream.iter_lines())[1:] == ("progress", {"step": 5, "steps": 8})
    server.finish(job)


def test_the_end_is_told_to_everybody_who_asks(server, client):
    request_id = server.submit(client)
    server.finish(server.claim(request_id))
    address = f"/v1/requests/{request_id}/events"
    for known in (None, "1.completed.-", "nonsense", "9" * 5000):
        headers = {"Last-Event-ID": known} if known else {}
        text = client.get(address, headers=headers).text
        assert text.count("event: done") == 1


def test_an_unknown_request_and_anothers_have_no_events(server, client):
    request_id = server.submit(client)
    with server.client(NEIGHBOUR_KEY) as neighbour:
        answers = [
            neighbour.get(f"/v1/requests/{request_id}/events"),
            client.get("/v1/requests/unknown/events"),
        ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    client.post(f"/v1/requests/{request_id}/cancel")


@pytest.mark.parametrize("known", [Known(), Known(2, "in_progress", 3), Known(0, "in_queue", None)])
def test_an_events_id_says_what_is_known(known):
    parsed = Known.parse(str(known))
    assert parsed == (known if known.status else Known())
