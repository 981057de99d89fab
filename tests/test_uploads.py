"""An account's own files: upload, list, delete; how much, and for how long."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from safelight.api import submission
from safelight.images.codec import MAX_IMAGE_BYTES
from tests.api_server import NEIGHBOUR_KEY, PNG, running_server

IMAGE = {"content-type": "image/png"}


@pytest.fixture
def served(database_url, tmp_path):
    with (
        running_server(tmp_path / "data", database_url=database_url, upload_quota_mb=1) as running,
        running.client() as client,
    ):
        yield running, client


def upload(client, data=PNG, **headers):
    answer = client.post("/v1/files", content=data, headers=IMAGE | headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_upload_has_a_url_that_any_image_field_takes(served):
    server, client = served
    stored = upload(client)
    assert client.get(stored["url"]).content == PNG
    assert (stored["content_type"], stored["size_bytes"]) == ("image/png", len(PNG))
    job = server.claim(server.submit(client, "test/echo", image_url=stored["url"]))
    assert job.input["image_url"] == f"file:{stored['id']}"
    with server.client(NEIGHBOUR_KEY) as neighbour:
        refused = neighbour.post("/v1/models/test/echo", json={"image_url": stored["url"]})
        assert refused.json()["error_code"] == 422003


def test_it_says_how_long_it_is_kept(tmp_path):
    for retention, days in (("30d", 30), ("12h", 0.5), ("forever", None)):
        with running_server(tmp_path / retention, retention=retention) as server, server.client() as client:
            stored = upload(client)
        if days is None:
            assert stored["expires_at"] is None
        else:
            until = datetime.fromisoformat(stored["expires_at"])
            assert abs(until - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=5)


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/JPEG", "image/webp; q=1"])
def test_the_content_tells_the_type(client, kind):
    assert upload(client, **{"content-type": kind})["content_type"] == "image/png"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("text/html", PNG),
        ("image/svg+xml", b"<svg/>"),
        ("image/png", b"<svg/>"),
        ("image/png", b""),
        ("image/png", b"MM\0*tiff"),
        ("", PNG),
    ],
)
def test_what_is_no_image_is_415(client, kind, data):
    before = client.get("/v1/files").json()
    answer = client.post("/v1/files", content=data, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error_code"]) == (415, 415001)
    assert client.get("/v1/files").json() == before


def test_a_file_over_50_mb_is_413_before_it_was_read(client):
    answer = client.post("/v1/files", content=PNG + bytes(MAX_IMAGE_BYTES), headers=IMAGE)
    assert (answer.status_code, answer.json()["error_code"]) == (413, 413001)


def test_uploads_are_listed_page_by_page_the_newest_first(served):
    server, client = served
    ids = [upload(client)["id"] for _ in range(3)]
    server.submit(client, "test/echo", image_url=upload(client)["url"])
    with server.client(NEIGHBOUR_KEY) as neighbour:
        upload(neighbour)
        assert len(neighbour.get("/v1/files").json()["files"]) == 1
    first = client.get("/v1/files?limit=2").json()
    second = client.get(f"/v1/files?limit=2&cursor={first['next_cursor']}").json()
    assert [file["id"] for file in first["files"] + second["files"]][1:] == ids[::-1]
    assert second["next_cursor"] is None
    assert set(first["files"][0]) == set(upload(client))


def test_a_deleted_file_is_gone(served):
    server, client = served
    stored = upload(client)
    assert client.delete(f"/v1/files/{stored['id']}").json() == {"id": stored["id"], "deleted": True}
    assert (client.get(stored["url"]).status_code, client.get("/v1/files").json()["files"]) == (410, [])
    assert not server.services.files.path(stored["id"]).exists()
    assert client.delete(f"/v1/files/{stored['id']}").status_code == 404
    refused = client.post("/v1/models/test/echo", json={"image_url": stored["url"]})
    assert refused.json()["error_code"] == 422003
    assert "deleted" in refused.json()["error_message"]


def test_an_output_can_be_deleted_on_its_own(served):
    server, client = served
    request_id = server.submit(client)
    (output,) = server.finish(server.claim(request_id))
    assert client.delete(f"/v1/files/{output}").status_code == 200
    result = client.get(f"/v1/requests/{request_id}/result").json()
    assert result["status"] == "succeeded"
    assert client.get(result["output"]["image"]).json()["error"]["code"] == "expired"


@pytest.mark.parametrize("file_id", ["A" * 22, "x", "..%2f..%2fsafelight.db", "%00"])
def test_nobody_deletes_what_is_not_his(served, file_id):
    server, client = served
    stored = upload(client)
    with server.client(NEIGHBOUR_KEY) as neighbour:
        theirs = neighbour.delete(f"/v1/files/{stored['id']}")
        unknown = neighbour.delete(f"/v1/files/{file_id}")
    assert theirs.status_code == unknown.status_code == 404
    assert client.get(stored["url"]).content == PNG


def test_an_accounts_uploads_have_a_quota_and_the_owners_have_none(served):
    server, client = served
    half = PNG + bytes(500_000)
    with server.client(NEIGHBOUR_KEY) as neighbour:
        first = upload(neighbour, half)
        refused = neighbour.post("/v1/files", content=half, headers=IMAGE)
        assert (refused.status_code, refused.json()["error_code"]) == (507, 507001)
        assert "1 MB" in refused.json()["error_message"]
        neighbour.delete(f"/v1/files/{first['id']}")
        upload(neighbour, half)
    for _ in range(3):
        upload(client, half)
    stored = [path for path in server.services.settings.files_dir.rglob("*") if path.is_file()]
    assert len(stored) == 4


def test_uploads_at_once_do_not_pass_the_quota(tmp_path):
    with (
        running_server(tmp_path / "data", upload_quota_mb=1) as server,
        server.client(NEIGHBOUR_KEY) as neighbour,
    ):
        answers = []

        def send():
            answers.append(
                neighbour.post("/v1/files", content=PNG + bytes(300_000), headers=IMAGE).status_code
            )

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [200] * 3 + [507] * 5


def test_a_full_disk_is_507(server, client, monkeypatch):
    free = submission.RESERVED_BYTES + len(PNG) - 1
    monkeypatch.setattr(server.services.files, "free_bytes", lambda: free, raising=False)
    answer = client.post("/v1/files", content=PNG, headers=IMAGE)
    assert (answer.status_code, answer.json()["error_code"]) == (507, 507001)
