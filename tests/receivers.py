"""A real HTTP server on loopback that takes webhooks, and answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Delivered:
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Answers 200, or the next of `answers`; waits for `go_on` where it shall be slow."""

    def __init__(self) -> None:
        self.delivered: list[Delivered] = []
        self.answers: list[int] = []
        self.location = ""
        self.slow_paths: set[str] = set()
        self.go_on = threading.Event()
        self.is_waiting = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.delivered.append(Delivered(request.path, headers, body))
        if request.path in self.slow_paths:
            self.is_waiting.set()
            self.go_on.wait(30)
        request.send_response(self.answers.pop(0) if self.answers else 200)
        if self.location:
            request.send_header("location", self.location)
        request.send_header("content-length", "0")
        request.end_headers()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()
