"""`safelight serve` as a process of its own, as people start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from safelight.client import Client
from safelight.settings import PREFIX

MODELS = Path(__file__).parent / "models"


def clean_environment(**settings: Any) -> dict[str, str]:
    """This environment without its settings, and with these."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | {PREFIX + name.upper(): str(value) for name, value in settings.items()}


@dataclass
class Served:
    """A server that answers."""

    process: subprocess.Popen[str]
    url: str
    greeting: str
    data_dir: Path

    @property
    def key(self) -> str:
        """The key that the first start saved."""
        return (self.data_dir / "api-key").read_text().strip()

    def client(self) -> Client:
        """A client with that key."""
        return Client(self.url, self.key)

    def http(self, key: str | None = None) -> httpx2.Client:
        """A bare client with that key, or another one."""
        headers = {"authorization": f"Bearer {key or self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30)

    def accepts(self, key: str) -> bool:
        """Whether it answers to this key."""
        with self.http(key) as http:
            return http.get("/v1/balance").status_code == 200

    def log(self) -> str:
        """What it has logged."""
        return (self.data_dir.parent / "log").read_text()

    def stop(self) -> int:
        """Tell it to end, and wait for that. Returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def served(data_dir: Path, *flags: str, **settings: Any) -> Iterator[Served]:
    """Serve until the block ends, on a free port, with the models of `tests/models` on the CPU."""
    environment = clean_environment(**{"models_dir": MODELS, "device": "cpu", "port": 0, **settings})
    command = [sys.executable, "-m", "safelight", "serve", "--data-dir", str(data_dir), *flags]
    with open(data_dir.parent / "log", "a") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        greeting = _greeting(process)
        yield Served(process, _url(greeting), greeting, data_dir)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)
        process.stdout.close()


def _greeting(process: subprocess.Popen[str]) -> str:
    """What it prints: it ends with the line of the curl command, and by then it answers."""
    lines: list[str] = []
    while not lines or "curl " not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], f"it ended with {process.wait()}"
    return "".join(lines)


def _url(greeting: str) -> str:
    return next(line.split()[1] for line in greeting.splitlines() if line.startswith("API "))
