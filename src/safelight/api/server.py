"""How the application is served: uvicorn, with a bound on what it buffers before the application is asked."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 512 * 1024
"""Far above what `HeaderBounds` refuses politely: a head that grows past this is an attack on our memory."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that hangs up on a request head without end."""

    _head_bytes: int | None = None

    def data_received(self, data: bytes) -> None:
        """Parse, then count what is still an unfinished head."""
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head_bytes = None
        super().on_headers_complete()


def server_config(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    """Uvicorn's configuration: no access log (addresses and query strings stay out of logs), no banner."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )
