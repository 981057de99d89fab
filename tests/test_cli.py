"""The commands, run as people run them, against a server with a worker."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from safelight.client import RequestCancelled
from tests.serving import clean_environment, served

COMMAND = [sys.executable, "-m", "safelight"]


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    """A server that runs models."""
    with served(tmp_path_factory.mktemp("cli") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """A server without a worker: whatever is submitted waits."""
    with served(tmp_path_factory.mktemp("idle") / "data", workers=0) as server:
        yield server


def safelight(server, *arguments: str, stdin: str = "", **settings: object):
    known = {"base_url": server.url, "data_dir": server.data_dir, **settings}
    return subprocess.run(
        [*COMMAND, *arguments],
        env=clean_environment(**known),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_run_prints_the_address_of_the_image(at):
    done = safelight(at, "run", "test/instant", "seed=3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{at.url}/files/")
    assert done.stdout.count("\n") == 1


def test_run_saves_the_image(at, tmp_path):
    done = safelight(at, "run", "test/instant", "-o", str(tmp_path / "one.png"))
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'one.png'}\n")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_run_prints_the_result_as_json(at):
    done = safelight(at, "run", "test/instant", "seed=3", "--json")
    result = json.loads(done.stdout)
    assert (result["status"], result["seed"]) == ("succeeded", 3)


def test_run_sends_a_file(at, tmp_path):
    first = tmp_path / "first.png"
    safelight(at, "run", "test/instant", "seed=200", "-o", str(first))
    done = safelight(at, "run", "test/echo", f"image_url=@{first}", "-o", str(tmp_path / "second.png"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "second.png").read_bytes() == first.read_bytes()


def test_run_takes_the_whole_input_as_json(at):
    given = '{"seed": 8}'
    inline = safelight(at, "run", "test/instant", "--input", given, "--json")
    piped = safelight(at, "run", "test/instant", "--input-file", "-", "--json", stdin=given)
    assert [json.loads(done.stdout)["seed"] for done in (inline, piped)] == [8, 8]


def test_fields_go_on_top_of_the_json(at):
    done = safelight(at, "run", "test/instant", "seed=9", "--input", '{"seed": 8}', "--json")
    assert json.loads(done.stdout)["seed"] == 9


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["test/instnt"], 65, "Nearest: test/instant"),
        (["test/instant", "num_inference_steps=0"], 65, "num_inference_steps"),
        (["test/instant", "promt=x"], 65, "promt"),
        (["test/instant", "seed"], 64, "'seed' is no field=value"),
        (["test/instant", "seed=x"], 64, "seed must be an integer"),
        (["test/instant", "--input", "{"], 64, "not valid JSON"),
        (["test/instant", "--input", "[]"], 64, "must be a JSON object"),
        (["test/instant", "-o", "/no/such/folder/x.png"], 64, "no folder"),
        (["test/instant", "--no-such-flag"], 64, "--no-such-flag"),
        (["test/echo", "image_url=@/no/such/file.png"], 66, "/no/such/file.png"),
        (["test/raises"], 1, "unexpected error"),
    ],
)
def test_what_goes_wrong_has_an_exit_code_and_a_line(at, arguments, code, complaint):
    done = safelight(at, "run", *arguments)
    assert done.returncode == code, done.stderr
    assert complaint in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_message_with_brackets_is_shown_as_it_is(at):
    done = safelight(at, "run", "test/instant", "--input", '{"[bold]": 1}')
    assert "[bold]" in done.stderr


def test_a_wrong_key_is_77(at):
    assert safelight(at, "run", "test/instant", api_key="w" * 40).returncode == 77


def test_no_server_is_69_and_says_how_to_start_one(at):
    done = safelight(at, "run", "test/instant", base_url="http://127.0.0.1:1")
    assert done.returncode == 69
    assert "safelight serve" in done.stderr


def test_a_senseless_setting_is_78(at):
    done = safelight(at, "run", "test/instant", port="http")
    assert done.returncode == 78
    assert "SAFELIGHT_PORT" in done.stderr


def test_ctrl_c_cancels_a_waiting_request_on_the_server(idle):
    ours, theirs = pty.openpty()
    environment = clean_environment(base_url=idle.url, data_dir=idle.data_dir) | {"TERM": "xterm"}
    command = [*COMMAND, "run", "test/instant"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    read_until(ours, "In the queue, 0 ahead")
    process.send_signal(signal.SIGINT)
    told = read_until(ours, "cancelled.")
    assert process.wait(30) == 130
    os.close(ours)
    request_id = re.search(r"request (\S+): cancelled", told)[1]
    with idle.http() as http:
        assert http.get(f"/v1/requests/{request_id}/status").json()["status"] == "cancelled"


def test_ctrl_c_stops_a_running_request_on_the_server(at):
    ours, theirs = pty.openpty()
    environment = clean_environment(base_url=at.url, data_dir=at.data_dir) | {"TERM": "xterm"}
    command = [*COMMAND, "run", "test/slow", "num_inference_steps=600"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    read_until(ours, "In progress")
    process.send_signal(signal.SIGINT)
    told = read_until(ours, "next step.")
    assert process.wait(30) == 130
    os.close(ours)
    request_id = re.search(r"request (\S+): it stops", told)[1]
    with at.client() as client, pytest.raises(RequestCancelled):
        client.wait(request_id)


def read_until(terminal: int, text: str) -> str:
    shown = ""
    while text not in shown:
        shown += os.read(terminal, 4096).decode()
    return shown


def test_doctor_finds_the_server_and_exits_with_1_on_a_problem(at):
    done = safelight(at, "doctor")
    assert f"server: answers at {at.url} and accepts the key" in done.stdout
    assert done.returncode == ("problem" in done.stdout)
    refused = safelight(at, "doctor", api_key="w" * 40)
    assert refused.returncode == 1
    assert "problem  server" in refused.stdout


def test_version_and_help_need_no_settings(at):
    assert safelight(at, "--version", port="x").stdout == "safelight, version 0.1.0\n"
    helped = safelight(at, "run", "--help", port="x")
    assert helped.returncode == 0
    assert "image_url=@edges.png" in helped.stdout


def test_a_command_starts_without_what_it_does_not_need():
    script = "import sys, safelight.cli; print({'torch', 'fastapi', 'sqlalchemy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n"
