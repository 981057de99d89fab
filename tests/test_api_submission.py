"""Images in a submission: data URIs, this server's own files, URLs; and what stops a submission."""

from __future__ import annotations

import base64

import pytest

from safelight.api import submission
from safelight.jobs import JobStatus
from safelight.models import base
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.texts import Language
from tests.api_server import NEIGHBOUR_KEY, PNG, running_server

DATA_URI = "data:image/png;base64," + base64.b64encode(PNG).decode()


def refused(answer, status, number, field=None):
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"] == number
    assert len(answer.content) <= 4096
    if field:
        assert [problem["field"] for problem in answer.json()["error"]["fields"]] == [field]


def queue_is_empty(server):
    return server.do(server.services.store.claim("probe", server.services.catalogue.runnable_ids())) is None


def test_a_data_uri_becomes_a_stored_file_of_the_account(server, client):
    request_id = server.submit(client, "test/echo", image_url=DATA_URI)
    job = server.claim(request_id)
    kind, _, file_id = job.input["image_url"].partition(":")
    assert kind == "file"
    stored = server.do(server.services.store.file(file_id))
    assert (stored.account_id, stored.job_id) == (job.account_id, request_id)
    assert (stored.content_type, stored.size_bytes) == ("image/png", len(PNG))
    assert server.services.files.path(file_id).read_bytes() == PNG


def test_the_content_tells_the_type_of_a_data_uri(server, client):
    mislabelled = DATA_URI.replace("image/png", "IMAGE/JPEG")
    job = server.claim(server.submit(client, "test/echo", image_url=mislabelled))
    stored = server.do(server.services.store.file(job.input["image_url"].removeprefix("file:")))
    assert stored.content_type == "image/png"


def test_a_list_of_images_keeps_its_order(server, client):
    url = "https://example.org/a.png"
    job = server.claim(server.submit(client, "test/album", image_urls=[DATA_URI, url, DATA_URI]))
    first, second, third = job.input["image_urls"]
    assert second == url
    assert first.startswith("file:")
    assert third.startswith("file:")
    assert first != third


@pytest.mark.parametrize(
    "uri",
    [
        "data:",
        "data:,",
        "data:text/html;base64,PGI+",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:image/png,raw",
        "data:image/png;base64,",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,iVBORw0KGgo",
        "DATA:IMAGE/PNG;BASE64,####",
        "data:image/png;base64," + base64.b64encode(b"<html></html>").decode(),
        "data:image/png;base64," + base64.b64encode(b"MM\0*tiff").decode(),
    ],
)
def test_a_broken_data_uri_is_422_and_named(server, client, uri):
    refused(client.post("/v1/models/test/echo", json={"image_url": uri}), 422, 422001, "image_url")
    listed = client.post("/v1/models/test/album", json={"image_urls": [DATA_URI, uri]})
    refused(listed, 422, 422001, "image_urls[1]")
    assert queue_is_empty(server)


def test_a_large_data_uri_is_taken(server, client):
    large = base64.b64encode(PNG + bytes(3_000_000)).decode()
    job = server.claim(server.submit(client, "test/echo", image_url=f"data:image/png;base64,{large}"))
    path = server.services.files.path(job.input["image_url"].removeprefix("file:"))
    assert path.stat().st_size == len(PNG) + 3_000_000


def test_a_data_uri_above_50_mb_is_422(server, client):
    large = base64.b64encode(PNG + bytes(50_000_001)).decode()
    answer = client.post("/v1/models/test/echo", json={"image_url": f"data:image/png;base64,{large}"})
    refused(answer, 422, 422001, "image_url")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.png",
        "ftp://example.org/a.png",
        "file:///etc/passwd",
        "file:AAAAAAAAAAAAAAAAAAAAAA",
        "/etc/passwd",
        "example.org/a.png",
        "https://127.0.0.1/a.png",
        "https://2130706433/a.png",
        "https://0x7f.1/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:10.0.0.1]/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/a.png",
        "https://localhost/a.png",
        "https://user:password@example.org/a.png",
        "https://example.org:8443/a.png",
        "https://a\\@b/a.png",
        "https://example.org/\r\nHost: x",
        "https://１２７.０.０.１/a.png",
        "https://example.org/" + "a" * 9000,
        "javascript:alert(1)",
    ],
)
def test_a_url_that_may_not_be_fetched_is_422_and_named(server, client, url):
    refused(client.post("/v1/models/test/echo", json={"image_url": url}), 422, 422003, "image_url")
    listed = client.post("/v1/models/test/album", json={"image_urls": ["https://example.org/a.png", url]})
    refused(listed, 422, 422003, "image_urls[1]")
    assert queue_is_empty(server)


def test_a_public_url_is_kept_for_the_worker(server, client):
    url = "https://example.org/a.png?signature=x#top"
    answer = client.post("/v1/models/test/echo", json={"image_url": "https://example.org/a.png?signature=x"})
    assert answer.status_code == 200
    job = server.claim(answer.json()["request_id"])
    assert job.input["image_url"] == url.removesuffix("#top")


def test_an_output_of_this_server_is_read_from_storage_by_its_own_account_alone(server, client):
    request_id = server.submit(client)
    (file_id,) = server.finish(server.claim(request_id))
    url = client.get(f"/v1/requests/{request_id}/result").json()["output"]["image"]
    job = server.claim(server.submit(client, "test/echo", image_url=url))
    assert job.input["image_url"] == f"file:{file_id}"

    with server.client(NEIGHBOUR_KEY) as neighbour:
        anothers = neighbour.post("/v1/models/test/echo", json={"image_url": url})
        unknown_url = url.replace(file_id, "A" * 22)
        unknown = neighbour.post("/v1/models/test/echo", json={"image_url": unknown_url})
    refused(anothers, 422, 422003, "image_url")
    assert anothers.content == unknown.content
    assert queue_is_empty(server)


def test_an_own_file_is_known_under_the_public_url_and_the_requests_host(tmp_path):
    public = "https://images.example.org"
    with running_server(tmp_path / "data", public_url=public) as server, server.client() as client:
        (file_id,) = server.finish(server.claim(server.submit(client)))
        for base in (public, server.url):
            job = server.claim(server.submit(client, "test/echo", image_url=f"{base}/files/{file_id}.png"))
            assert job.input["image_url"] == f"file:{file_id}"
        other = client.post(
            "/v1/models/test/echo", json={"image_url": f"http://elsewhere.example/files/{file_id}.png"}
        )
        refused(other, 422, 422003, "image_url")


@pytest.mark.parametrize("model", ["test/described", "test/weightless"])
def test_a_model_that_cannot_run_is_unavailable_after_its_input_was_checked(client, model):
    path = f"/v1/models/{model}"
    answer = client.post(path, json={"image_url": "https://example.org/a.png"})
    refused(answer, 503, 503001)
    assert answer.headers["retry-after"].isdigit()
    assert model in answer.json()["error_message"]
    refused(client.post(path, json={"image_url": ""}), 422, 422001, "image_url")


def test_what_needs_weights_that_are_not_here_is_422_until_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "NANO_DIR", tmp_path)
    weights = ZImageControlNet.weights
    for name in weights.nano.keys() - weights.optional:
        (tmp_path / weights.nano[name].repo / weights.nano[name].folder).mkdir(parents=True)
    path = f"/v1/models/{ZImageControlNet.id}"
    body = {"prompt": "a red ball", "image_url": "https://example.org/a.png", "loras": []}
    with running_server(tmp_path / "data") as server, server.client() as client:
        for kind in ("depth", "pose"):
            refused(client.post(path, json=body | {"preprocess": kind}), 422, 422001, "preprocess")
        answer = client.post(f"{path}?lang=ko", json=body | {"preprocess": "pose"})
        assert "none, canny" in answer.json()["error_message"]
        assert "가중치" in answer.json()["error_message"]
        assert queue_is_empty(server)
        assert client.post(path, json=body | {"preprocess": "canny"}).status_code == 200
        (tmp_path / "preprocess" / "depth").mkdir(parents=True)
        assert client.post(path, json=body | {"preprocess": "depth"}).status_code == 200


def test_a_full_disk_is_507_before_anything_is_accepted(server, client, monkeypatch):
    monkeypatch.setattr(
        server.services.files, "free_bytes", lambda: submission.RESERVED_BYTES + len(PNG) - 1, raising=False
    )
    refused(client.post("/v1/models/test/echo", json={"image_url": DATA_URI}), 507, 507001)
    assert queue_is_empty(server)
    assert client.post("/v1/models/test/instant", json={}).status_code == 200


def test_an_accepted_request_survives_the_server(tmp_path):
    with running_server(tmp_path / "data") as server, server.client() as client:
        request_id = server.submit(client, "test/echo", image_url=DATA_URI)
    with running_server(tmp_path / "data") as server:
        job = server.claim(request_id)
        assert job.status is JobStatus.IN_PROGRESS
        assert server.services.files.path(job.input["image_url"].removeprefix("file:")).exists()


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("https://example.com/x.safetensors", 200, None),
        ("owner/repo", 200, None),
        ("safelight/pencil", 200, None),
        ("http://example.com/x.safetensors", 422, "url_not_allowed"),
        ("https://127.0.0.1/x.safetensors", 422, "url_not_allowed"),
        ("file:///etc/passwd", 422, "url_not_allowed"),
        ("/etc/passwd", 422, "path_not_allowed"),
        ("/etc/there-is-no-such-file.safetensors", 422, "path_not_allowed"),
        ("./x.safetensors", 422, "path_not_allowed"),
        ("../x.safetensors", 422, "path_not_allowed"),
        ("x.safetensors", 422, "invalid_input"),
        ("owner/repo/x.bin", 422, "invalid_input"),
    ],
)
def test_where_a_lora_is_said_to_be_is_judged_at_submission(client, path, status, code):
    answer = client.post("/v1/models/test/loras", json={"loras": [{"path": path, "scale": 1}]})
    assert answer.status_code == status
    if code:
        error = answer.json()["error"]
        assert error["code"] == code
        assert error["fields"][0]["field"] == "loras[0].path"
        assert path not in answer.text or len(path) < 20


def test_the_refusal_of_a_lora_speaks_the_requests_language(client):
    answer = client.post("/v1/models/test/loras?lang=ko", json={"loras": [{"path": "x", "scale": 1}]})
    assert "하나여야 합니다" in answer.json()["error_message"]


@pytest.mark.parametrize(("query", "language"), [("", Language.EN), ("?lang=ko", Language.KO)])
def test_a_job_remembers_the_language_it_was_submitted_in(server, client, query, language):
    request_id = client.post(f"/v1/models/test/instant{query}", json={}).json()["request_id"]
    assert server.claim(request_id).language is language
