"""A Safelight server of one's own, for as long as a script runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from safelight.client import APIError, Client, ConnectionFailed
from safelight.settings import Settings, local_url

START_S = 60
STOP_S = 60


@contextmanager
def server(settings: Settings, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """A server on this machine; yields its URL once it answers. environment: what to add to this one's."""
    url = local_url(settings.host, settings.port)
    command = [sys.executable, "-m", "safelight", "serve"]
    flags = ["--data-dir", str(settings.data_dir), "--port", str(settings.port)]
    with open(log, "wb") as out:
        # Out of the terminal's reach: Ctrl-C is for us, and we stop it.
        process = subprocess.Popen(
            [*command, *flags],
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=os.environ | dict(environment or {}),
        )
    try:
        _await_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as trial:
        return int(trial.getsockname()[1])


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_s = time.monotonic() + START_S
    with Client(url, "none") as client:
        while time.monotonic() < give_up_s and process.poll() is None:
            with suppress(ConnectionFailed, APIError):
                client.download("/readyz")
                if process.poll() is None:  # else it was another server that answered
                    return
            time.sleep(0.05)
    sys.exit(f"The server did not start; {log} says:\n{log.read_text(errors='replace')[-2000:]}")
