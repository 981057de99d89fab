"""`status`, `result`, `cancel` and `models get` as people type them; the test plays the worker."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from safelight.jobs import new_id
from tests.api_server import OWNER_KEY, PNG
from tests.serving import clean_environment


@pytest.fixture
def safelight(server, tmp_path):
    def run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        known = {"base_url": server.url, "data_dir": tmp_path, "api_key": OWNER_KEY, **settings}
        command = [sys.executable, "-m", "safelight", *arguments]
        return subprocess.run(
            command, env=clean_environment(**known), capture_output=True, text=True, timeout=120
        )

    return run


def test_no_id_reads_as_an_option():
    assert not any(new_id().startswith("-") for _ in range(2000))


def test_a_request_on_its_way(server, client, safelight):
    request_id = server.submit(client)
    assert safelight("status", request_id).stdout.startswith("In the queue, ")
    early = safelight("result", request_id)
    assert (early.returncode, early.stdout) == (75, "")
    assert "--wait" in early.stderr
    server.finish(server.claim(request_id))
    shown = json.loads(safelight("status", request_id, "--json").stdout)
    assert shown["status"] == "completed"


def test_a_result_is_shown_and_saved(server, client, safelight, tmp_path):
    request_id = server.submit(client)
    [file_id] = server.finish(server.claim(request_id))
    assert safelight("result", request_id).stdout == f"{server.url}/files/{file_id}.png\n"
    done = safelight("result", request_id, "--wait", "-o", str(tmp_path / "one.png"))
    assert done.stdout == f"{tmp_path / 'one.png'}\n"
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_a_failed_request_says_why(server, client, safelight):
    request_id = server.submit(client)
    server.fail(server.claim(request_id), "corrupt_image", "The image is damaged or cut off.")
    done = safelight("result", request_id)
    assert done.returncode == 1
    assert "damaged" in done.stderr


def test_a_queued_request_is_cancelled(server, client, safelight):
    request_id = server.submit(client)
    done = safelight("cancel", request_id)
    assert (done.returncode, done.stdout) == (0, "Cancelled\n")
    assert safelight("result", request_id).returncode == 1


def test_it_may_be_too_late_to_cancel(server, client, safelight):
    request_id = server.submit(client)
    server.finish(server.claim(request_id))
    done = safelight("cancel", request_id)
    assert done.returncode == 1
    assert "Not cancelled: completed." in done.stderr


def test_an_unknown_request_is_65(safelight):
    done = safelight("status", "unknown")
    assert done.returncode == 65
    assert "There is no such request." in done.stderr


def test_requests_are_listed_newest_first(server, client, safelight):
    older, newer = server.submit(client), server.submit(client)
    listed = safelight("requests", "list", "--model", "test/instant", "--status", "in_queue").stdout
    ids = [line.split("\t")[0] for line in listed.splitlines()]
    assert ids.index(newer) < ids.index(older)
    first = safelight("requests", "list", "--limit", "1")
    cursor = re.search(r"--cursor (\S+)", first.stderr)[1]
    assert older in safelight("requests", "list", "--limit", "100", "--cursor", cursor).stdout
    shown = json.loads(safelight("requests", "list", "--json", "--limit", "1").stdout)
    assert shown["requests"][0]["request_id"] == newer


def test_a_file_is_put_on_the_server(server, client, safelight, tmp_path):
    (tmp_path / "one.png").write_bytes(PNG)
    url = safelight("upload", str(tmp_path / "one.png")).stdout.strip()
    assert client.get(url).content == PNG
    assert server.submit(client, "test/echo", image_url=url)
    assert safelight("upload", "/no/such/file.png").returncode == 66
    (tmp_path / "text.png").write_text("no image")
    assert safelight("upload", str(tmp_path / "text.png")).returncode == 65


def test_a_model_is_described(safelight):
    shown = safelight("models", "get", "test/instant").stdout
    assert "test/instant" in shown
    assert "num_inference_steps\tinteger\t2" in shown
    whole = json.loads(safelight("models", "get", "test/instant", "--json").stdout)
    assert whole["input_schema"]["properties"]["seed"]


def test_colours_are_left_out_where_nobody_wants_them(safelight):
    assert "\x1b[" not in safelight("status", "unknown").stderr
