"""What an account has submitted: listed page by page, and erased."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from safelight.db.tables import jobs
from tests.api_server import NEIGHBOUR_KEY, running_server
from tests.test_api_submission import DATA_URI


@pytest.fixture
def served(database_url, tmp_path):
    with running_server(tmp_path / "data", database_url=database_url) as running, running.client() as client:
        yield running, client


def listed(client, **parameters):
    answer = client.get("/v1/requests", params=parameters)
    assert answer.status_code == 200, answer.text
    return [entry["request_id"] for entry in answer.json()["requests"]], answer.json()["next_cursor"]


def test_the_newest_come_first_and_only_ones_own(served):
    server, client = served
    ids = [server.submit(client) for _ in range(3)]
    with server.client(NEIGHBOUR_KEY) as neighbour:
        server.submit(neighbour)
        assert len(listed(neighbour)[0]) == 1
    assert listed(client) == (ids[::-1], None)


def test_an_entry_is_the_requests_result(served):
    server, client = served
    request_id = server.submit(client)
    server.finish(server.claim(request_id))
    (entry,) = client.get("/v1/requests?include_cost=true").json()["requests"]
    assert entry == client.get(f"/v1/requests/{request_id}/result?include_cost=true").json()
    assert entry["status"] == "succeeded"


def test_pages_follow_each_other_whatever_comes_or_goes_meanwhile(served):
    server, client = served
    ids = [server.submit(client) for _ in range(5)]
    first, cursor = listed(client, limit=2)
    server.submit(client)
    client.post(f"/v1/requests/{first[-1]}/cancel")
    client.delete(f"/v1/requests/{first[-1]}")
    second, cursor = listed(client, limit=2, cursor=cursor)
    third, end = listed(client, limit=2, cursor=cursor)
    assert first + second + third == ids[::-1]
    assert end is None


def test_the_list_is_filtered_by_status_and_model(served):
    server, client = served
    done, broken, running, waiting, gone = (server.submit(client) for _ in range(5))
    other = server.submit(client, "test/slow")
    client.post(f"/v1/requests/{gone}/cancel")
    server.finish(server.claim(done))
    server.fail(server.claim(broken), "internal_error", "It broke.")
    server.claim(running)
    found = {
        status: listed(client, status=status)[0]
        for status in ("succeeded", "failed", "completed", "in_progress", "in_queue", "cancelled")
    }
    assert found == {
        "succeeded": [done],
        "failed": [broken],
        "completed": [broken, done],
        "in_progress": [running],
        "in_queue": [other, waiting],
        "cancelled": [gone],
    }
    assert listed(client, model_id="test/slow") == ([other], None)
    assert listed(client, model_id="test/slow", status="failed") == ([], None)
    assert listed(client, status="")[0][0] == other


@pytest.mark.parametrize(
    ("name", "text"),
    [("status", "done"), ("limit", "0"), ("limit", "101"), ("cursor", "a b"), ("include_cost", "x")],
)
def test_a_filter_that_makes_no_sense_is_422_and_named(client, name, text):
    answer = client.get("/v1/requests", params={name: text})
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"][0]["field"] == name


def test_anothers_cursor_leads_nowhere(served):
    server, client = served
    request_id = server.submit(client)
    with server.client(NEIGHBOUR_KEY) as neighbour:
        server.submit(neighbour)
        assert listed(neighbour, cursor=request_id) == ([], None)
        assert listed(neighbour, cursor="unknown") == ([], None)


# --- Erasing ------------------------------------------------------------------------------------------------


def row_of(server, request_id):
    query = sa.select(jobs).where(jobs.c.id == request_id)
    return server.do(server.services.database.read(lambda connection: connection.execute(query).one()))


def test_an_erased_request_is_gone_with_its_files_and_what_it_was_about(served):
    server, client = served
    headers = {"Idempotency-Key": "k"}
    body = {"image_url": DATA_URI, "prompt": "a secret"}
    request_id = client.post("/v1/models/test/echo", json=body, headers=headers).json()["request_id"]
    job = server.claim(request_id)
    (output,) = server.finish(job)
    address = f"/v1/requests/{request_id}"
    image = client.get(f"{address}/result").json()["output"]["image"]
    before = row_of(server, request_id)

    assert client.delete(address).json() == {"id": request_id, "deleted": True}
    for path in (f"{address}/status", f"{address}/result", f"{address}/events"):
        assert client.get(path).status_code == 404
    assert client.post(f"{address}/cancel").status_code == 404
    assert client.delete(address).status_code == 404
    assert listed(client) == ([], None)
    assert (client.get(image).status_code, client.get(image).json()["error_code"]) == (410, 410001)
    for file_id in (output, job.input["image_url"].removeprefix("file:")):
        assert not server.services.files.path(file_id).exists()

    after = row_of(server, request_id)
    assert (after.input, after.outputs, after.report, after.error) == ({}, None, None, None)
    kept = ("seq", "status", "cost", "account_id", "model_id", "created_at", "finished_at")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    again = client.post("/v1/models/test/echo", json=body, headers=headers)
    assert again.json()["request_id"] != request_id


@pytest.mark.parametrize("state", ["in_queue", "in_progress"])
def test_what_has_not_ended_is_not_erased(served, state):
    server, client = served
    request_id = server.submit(client)
    if state == "in_progress":
        server.claim(request_id)
    answer = client.delete(f"/v1/requests/{request_id}")
    assert (answer.status_code, answer.json()["error_code"]) == (422, 422001)
    assert "cancel it first" in answer.json()["error_message"]
    assert client.get(f"/v1/requests/{request_id}/status").json()["status"] == state


def test_nobody_erases_what_is_not_his(served):
    server, client = served
    request_id = server.submit(client)
    server.finish(server.claim(request_id))
    with server.client(NEIGHBOUR_KEY) as neighbour:
        theirs = neighbour.delete(f"/v1/requests/{request_id}")
        unknown = neighbour.delete(f"/v1/requests/{'A' * 22}")
    assert theirs.status_code == unknown.status_code == 404
    assert theirs.content == unknown.content
    assert client.get(f"/v1/requests/{request_id}/result").json()["status"] == "succeeded"


NEVER_ERASED = {column.name for column in jobs.columns} - {
    *("erased_at", "input", "outputs", "report", "error", "preview")
}


def another_value(column):
    """SQL for what the column surely does not hold yet."""
    if column == "cancel_requested":
        return "NOT cancel_requested"
    if column in {"seq", "attempt", "cost", "progress_step", "progress_steps", "heartbeats"}:
        return "COALESCE(seq, 0) + 1000"
    return "'2001-02-03 04:05:06.000000'" if column.endswith("_at") else "'x'"


def test_erasing_changes_nothing_else_even_by_raw_sql(served):
    """Also of columns that come later: whoever adds one to the table adds it to the trigger."""
    server, client = served
    request_id = server.submit(client)
    server.finish(server.claim(request_id))
    before = row_of(server, request_id)
    for column in sorted(NEVER_ERASED):
        change = f"erased_at = created_at, {column} = {another_value(column)}"
        assert is_refused(server, change, request_id), column
    assert row_of(server, request_id) == before


def is_refused(server, change, request_id):
    raw = sa.text(f"UPDATE jobs SET {change} WHERE id = :id")
    try:
        server.do(server.services.database.write(lambda link: link.execute(raw, {"id": request_id})))
    except sa.exc.DBAPIError:
        return True
    return False


def test_what_is_erased_stays_so_even_against_raw_sql(served):
    server, client = served
    request_id = server.submit(client)
    server.finish(server.claim(request_id))
    client.delete(f"/v1/requests/{request_id}")
    for change in ("erased_at = NULL", "erased_at = created_at", "input = '[1]'"):
        assert is_refused(server, change, request_id), change


def test_a_requests_input_can_be_sent_again_as_it_is_told(served):
    server, client = served
    model_id = "tongyi-mai/z-image/turbo/controlnet/lora"
    body = {"prompt": "a tree", "image_url": DATA_URI, "loras": [], "seed": None}
    request_id = server.submit(client, model_id, **body)
    address = f"/v1/requests/{request_id}/result"
    assert "input" not in client.get(address).json()
    told = client.get(address, params={"include_input": "true"}).json()["input"]
    assert told["prompt"] == "a tree"
    assert isinstance(told["seed"], int)
    assert client.get(told["image_url"]).headers["content-type"] == "image/png"
    again = server.submit(client, model_id, **told)
    assert client.get(f"/v1/requests/{again}/result?include_input=true").json()["input"] == told
