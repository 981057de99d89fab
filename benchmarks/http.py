"""How much of a bare server's speed the API keeps: submit and status against a hand-written Starlette echo.

    python -m benchmarks.http [--rounds 12] [--requests 2000] [--connections 32] [--database-url postgresql://…]

Both run under the same uvicorn (uvloop, httptools), each in a process of its own; the client is this process,
with its connections kept open. A sample is the time per request of one round, all connections busy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks._harness import console, interleave, median, show, show_machine
from safelight.api.app import create_app
from safelight.api.server import server_config
from safelight.api.services import open_services
from safelight.settings import Settings

KEY = "benchmark-key-0123456789abcdefghij"
MODELS = Path(__file__).parent.parent / "tests" / "models"
BODY = json.dumps({"prompt": "a photograph of a lighthouse at dusk, waves, long exposure. " * 12, "seed": 7})
QUEUED = 10_000

# --- The servers ----------------------------------------------------------------------------------------


async def echo(request: Request) -> Response:
    """Read a body and give it back."""
    return JSONResponse(await request.json())


async def fixed(request: Request) -> Response:
    """Answer as a status does."""
    address = f"http://localhost/v1/requests/{request.path_params['id']}"
    return JSONResponse(
        {
            "request_id": request.path_params["id"],
            "status": "in_queue",
            "queue_position": 0,
            "status_url": f"{address}/status",
            "result_url": f"{address}/result",
        }
    )


async def serve(which: str, data_dir: Path, database_url: str) -> None:
    """Run one of the servers and print its port."""
    if which == "echo":
        routes = [
            Route("/v1/requests/{id}/status", fixed),
            Route("/v1/models/{id:path}", echo, methods=["POST"]),
        ]
        config = server_config(Starlette(routes=routes), "127.0.0.1", 0)  # type: ignore[arg-type]
        await _Announcing(config).serve()
        return
    settings = Settings(data_dir=data_dir, database_url=database_url, models_dir=MODELS)
    async with open_services(settings) as services:
        await services.accounts.ensure_owner(KEY)
        await _Announcing(server_config(create_app(services), "127.0.0.1", 0)).serve()


class _Announcing(uvicorn.Server):
    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup()
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


@contextmanager
def started(which: str, data_dir: str, database_url: str) -> Iterator[int]:
    """A server process; yields its port."""
    command = [sys.executable, "-m", "benchmarks.http", "--serve", which, "--data-dir", data_dir]
    process = subprocess.Popen([*command, "--database-url", database_url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)


# --- The client -----------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """One kept connection that sends the same request again and again."""

    def __init__(self, request: bytes, todo: list[None], done: asyncio.Event) -> None:
        self.request = request
        self.todo = todo
        self.done = done
        self.received = b""
        self.latencies: list[float] = []
        self.bodies: list[bytes] = []
        self.refused = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport and begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        """Send one of the requests that are left."""
        if not self.todo:
            self.transport.close()
            return
        self.todo.pop()
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take a whole answer, then send the next request."""
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self.refused = body.decode()
            self.transport.abort()
            return
        self.latencies.append(time.perf_counter() - self.sent_at)
        self.bodies.append(body)
        self.received = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        self.done.set()


async def run(port: int, request: bytes, count: int, connections: int) -> tuple[float, list[Connection]]:
    """Send `count` requests over so many connections. Returns seconds per request, and the connections."""
    loop = asyncio.get_running_loop()
    todo: list[None] = [None] * count
    begun = time.perf_counter()
    running = []
    for _ in range(connections):
        connection = Connection(request, todo, asyncio.Event())
        await loop.create_connection(lambda made=connection: made, "127.0.0.1", port)  # type: ignore[misc]
        running.append(connection)
    for connection in running:
        await connection.done.wait()
    if sum(len(connection.bodies) for connection in running) < count:
        raise RuntimeError("; ".join({connection.refused for connection in running}))
    return (time.perf_counter() - begun) / count, running


def submit_request() -> bytes:
    """A submission."""
    head = f"POST /v1/models/test/instant HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()


def status_request(request_id: str) -> bytes:
    """A poll."""
    head = f"GET /v1/requests/{request_id}/status HTTP/1.1\r\nHost: localhost\r\n"
    return f"{head}Authorization: Bearer {KEY}\r\n\r\n".encode()


async def measure(ours: int, echo_port: int, options: argparse.Namespace) -> None:
    """Compare, interleaved; then poll the last of many queued jobs."""
    _, (first, *_) = await run(ours, submit_request(), 1, 1)
    request_id = json.loads(first.bodies[0])["request_id"]

    async def one(port: int, request: bytes) -> list[float]:
        return [(await run(port, request, options.requests, options.connections))[0]]

    for title, request, goal in (
        ("status", status_request(request_id), 0.6),
        ("submit", submit_request(), 0.45),
    ):
        samples = await interleave(
            options.rounds,
            {"echo": lambda r=request: one(echo_port, r), "ours": lambda r=request: one(ours, r)},  # type: ignore[misc]
        )
        show(f"{title}, {options.connections} connections; goal {goal}", samples, "echo")
        console.print(f"{1 / median(samples['ours']):.0f} requests/s\n")

    _, filled = await run(ours, submit_request(), options.queued, options.connections)
    last = json.loads(filled[0].bodies[-1])["request_id"]
    _, polled = await run(ours, status_request(last), options.requests, options.connections)
    latencies = sorted(seconds for connection in polled for seconds in connection.latencies)
    p99_ms = latencies[int(len(latencies) * 0.99)] * 1e3
    console.print(f"status with at least {options.queued} jobs queued: p99 {p99_ms:.1f} ms; goal < 200 ms")


def main() -> None:
    """Start both servers and compare them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--queued", type=int, default=QUEUED)
    parser.add_argument("--database-url", default="")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--data-dir", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(options.serve, options.data_dir, options.database_url))
        return
    show_machine()
    with (
        TemporaryDirectory() as folder,
        started("ours", folder, options.database_url) as ours,
        started("echo", folder, "") as echo_port,
    ):
        uvloop.run(measure(ours, echo_port, options))


if __name__ == "__main__":
    main()
