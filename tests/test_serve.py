"""`safelight serve` from its first start to its last breath: real processes, nothing played."""

from __future__ import annotations

import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.processes import children_of, is_alive, until_gone
from tests.serving import MODELS, clean_environment, served


def submit(http: httpx2.Client, model: str = "test/instant", **fields: object) -> str:
    answer = http.post(f"/v1/models/{model}", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["request_id"]


def until(condition, timeout_s: float = 60):
    """Wait until the condition holds; returns what it returned."""
    give_up_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
    return found


def result(http: httpx2.Client, request_id: str) -> dict:
    return http.get(f"/v1/requests/{request_id}/result").json()


def has_ended(http: httpx2.Client, request_id: str) -> bool:
    return result(http, request_id)["status"] not in {"in_queue", "in_progress"}


def is_running(http: httpx2.Client, request_id: str) -> bool:
    return result(http, request_id)["status"] == "in_progress"


def run_serve(*flags: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    command = [sys.executable, "-m", "safelight", "serve", *flags]
    return subprocess.run(
        command, env=clean_environment(**settings), capture_output=True, text=True, timeout=60
    )


# --- The first start ------------------------------------------------------------------------------------


def test_a_first_start_saves_a_key_for_its_owner_alone_and_keeps_it_out_of_the_output(tmp_path):
    with served(tmp_path / "data", workers=0) as server:
        key_file = server.data_dir / "api-key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
        assert str(key_file) in server.greeting
        assert server.key not in server.greeting + server.log()
        assert server.accepts(server.key)
        key = server.key
        assert server.stop() == 0
    with served(tmp_path / "data", workers=0) as server:
        assert server.key == key
        assert server.accepts(server.key)


def test_nothing_that_is_kept_can_be_read_by_others(tmp_path):
    (tmp_path / "data").mkdir(mode=0o755)
    with served(tmp_path / "data", workers=0) as server, server.http() as http:
        submit(http)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in server.data_dir.iterdir()}
    assert modes
    assert not {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


def test_a_given_key_is_let_in_and_not_saved(tmp_path):
    with served(tmp_path / "data", workers=0, api_key="given-" + "k" * 32) as server:
        assert server.accepts("given-" + "k" * 32)
        assert not (server.data_dir / "api-key").exists()


def test_a_terminal_is_shown_the_key_at_the_first_start_alone(tmp_path):
    first, second = (_on_a_terminal(tmp_path / "data") for _ in range(2))
    key = (tmp_path / "data" / "api-key").read_text().strip()
    assert key in first
    assert key not in second
    assert "api-key" in second


def _on_a_terminal(data_dir: Path) -> str:
    """What a start prints on a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "safelight", "serve", "--data-dir", str(data_dir), "--workers", "0"]
    environment = clean_environment(port=0)
    process = subprocess.Popen(command, env=environment, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while b"curl" not in shown:
        shown += os.read(ours, 4096)
    process.terminate()
    assert process.wait(30) == 0
    os.close(ours)
    return shown.decode()


# --- What may be wrong at the start ---------------------------------------------------------------------


def test_a_taken_port_is_told_in_one_line_before_anything_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_serve("--port", str(port), data_dir=tmp_path / "data")
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert f"SAFELIGHT_PORT: {port} is taken" in done.stderr
    assert "--port 0" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"host": "203.0.113.1"}, "SAFELIGHT_HOST: this machine cannot listen on 203.0.113.1"),
        ({"host": "no such host"}, "SAFELIGHT_HOST"),
        ({"data_dir": "/proc/safelight"}, "SAFELIGHT_DATA_DIR: /proc/safelight cannot be made"),
        ({"database_url": "postgresql://u:secret@127.0.0.1:1/x"}, "SAFELIGHT_DATABASE_URL"),
        ({"database_url": "sqlite:////no/such/folder/x.db"}, "SAFELIGHT_DATABASE_URL"),
        ({"models_dir": "/no/such/folder"}, "SAFELIGHT_MODELS_DIR"),
    ],
)
def test_what_cannot_work_is_refused_with_the_settings_name(tmp_path, settings, complaint):
    done = run_serve(**{"data_dir": tmp_path / "data", "port": 0, **settings})
    assert done.returncode == 78
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


# --- Running and stopping -------------------------------------------------------------------------------


def test_it_draws_and_its_own_process_never_loads_torch(tmp_path):
    with served(tmp_path / "data") as server, server.http() as http:
        request_id = submit(http, seed=5)
        until(lambda: has_ended(http, request_id))
        done = result(http, request_id)
        assert (done["status"], done["seed"]) == ("succeeded", 5)
        assert httpx2.get(done["output"]["image"]).content.startswith(b"\x89PNG")
        assert "torch" not in Path(f"/proc/{server.process.pid}/maps").read_text()


async def test_sigterm_drains_and_leaves_no_process(tmp_path):
    with served(tmp_path / "data") as server:
        with server.http() as http:
            running = submit(http, "test/slow", num_inference_steps=30)
            waiting = submit(http, "test/slow", num_inference_steps=600)
            until(lambda: is_running(http, running))
            processes = [server.process.pid, *children_of(server.process.pid)]
            assert len(processes) == 4  # the server, a worker and its two children
            server.process.terminate()
            refusal = until(lambda: _refused(http))
            assert refusal.headers["retry-after"]
            assert http.get("/readyz").status_code == 503
            assert is_running(http, running)  # Status is still answered while it drains.
        assert server.process.wait(60) == 0
    await until_gone(processes)
    with served(tmp_path / "data", workers=0) as server, server.http() as http:
        assert result(http, running)["status"] == "succeeded"
        assert result(http, waiting)["status"] == "in_queue"


def _refused(http: httpx2.Client) -> httpx2.Response | None:
    answer = http.post("/v1/models/test/instant", json={})
    return answer if answer.status_code == 503 else None


async def test_a_second_signal_does_not_wait_for_what_runs(tmp_path):
    with served(tmp_path / "data") as server, server.http() as http:
        request_id = submit(http, "test/slow", num_inference_steps=900)
        until(lambda: is_running(http, request_id))
        processes = [server.process.pid, *children_of(server.process.pid)]
        server.process.send_signal(signal.SIGINT)
        until(lambda: _refused(http))
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
    await until_gone(processes)
    with served(tmp_path / "data", workers=0) as server, server.http() as http:
        assert result(http, request_id)["status"] == "in_queue"


async def test_after_killing_everything_nothing_accepted_is_missing_or_paid_for_twice(tmp_path):
    settings = {"data_dir": tmp_path / "data", "pricing": "default.usd = 0.01"}
    with served(**settings) as server:
        payer = account_with(server, usd=0.12)
        with server.http(payer) as http:
            requests = [submit(http, "test/slow", num_inference_steps=3, seed=seed) for seed in range(12)]
            until(lambda: has_ended(http, requests[2]))
        processes = [server.process.pid, *children_of(server.process.pid)]
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
    await until_gone(processes)
    with served(**settings) as server, server.http(payer) as http, server.http() as owner:
        # What was running waits for its lease of 30 s to run out; all the others go on at once.
        until(lambda: all(has_ended(http, request_id) for request_id in requests), timeout_s=90)
        ended = [result(http, request_id) for request_id in requests]
        assert [one["status"] for one in ended] == ["succeeded"] * 12
        assert [one["seed"] for one in ended] == list(range(12))
        assert all(http.get(one["output"]["image"]).status_code == 200 for one in ended)
        assert owner.get("/v1/admin/audit").json() == {"ok": True, "findings": []}
        assert http.get("/v1/balance").json() == {"balance_usd": 0, "currency": "USD", "held_usd": 0}
        processes = [server.process.pid, *children_of(server.process.pid)]
        assert server.stop() == 0
    assert not any(map(is_alive, processes))
    assert list((tmp_path / "data" / "scratch").iterdir()) == []


def account_with(server, usd):
    """The key of a new metered account with so much to spend."""
    with server.http() as owner:
        made = owner.post("/v1/admin/accounts", json={"email": "payer@example.org"}).json()
        owner.post(f"/v1/admin/accounts/{made['id']}/grants", json={"amount_usd": usd})
    return made["key"]


async def test_no_process_outlives_a_server_that_is_killed(tmp_path):
    with served(tmp_path / "data") as server, server.http() as http:
        request_id = submit(http, "test/slow", num_inference_steps=900)
        until(lambda: is_running(http, request_id))
        processes = children_of(server.process.pid)
        assert len(processes) == 3
        server.process.kill()
        server.process.wait()
    await until_gone(processes)


def test_own_models_are_served(tmp_path):
    with (
        served(tmp_path / "data", "--workers", "0", "--models-dir", str(MODELS)) as server,
        server.client() as client,
    ):
        assert "test/slow" in {model["model_id"] for model in client.models()}
