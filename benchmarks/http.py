"""How much of a bare server's speed the API keeps: submit and status against a hand-written Starlette echo.

    python -m benchmarks.http [--rounds 12] [--requests 2000] [--connections 64] [--database-url postgresql://…]

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
from functools import partial
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
    """One kept connection that sends a request again and again."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def start(self, request: bytes, todo: list[None]) -> asyncio.Future[None]:
        """Send requests as long as any are left to do; done when the last one is answered."""
        self.request = request
        self.todo = todo
        self.received = b""
        self.latencies: list[float] = []
        self.bodies: list[bytes] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.send()
        return self.done

    def send(self) -> None:
        """Send one of the requests that are left."""
        if not self.todo:
            self.done.set_result(None)
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
            self.done.set_exception(RuntimeError(body.decode()))
            return
        self.latencies.append(time.perf_counter() - self.sent_at)
        self.bodies.append(body)
        self.received = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionAbortedError())


async def connect(port: int, connections: int) -> list[Connection]:
    """Open connections to a server."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(connections)]


async def run(connections: list[Connection], request: bytes, count: int) -> float:
    """Send `count` requests over all connections. Returns seconds per request."""
    todo: list[None] = [None] * count
    begun = time.perf_counter()
    await asyncio.gather(*(connection.start(request, todo) for connection in connections))
    return (time.perf_counter() - begun) / count


def submit_request() -> bytes:
    """A submission."""
    head = f"POST /v1/models/test/instant HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()


def status_request(request_id: str) -> bytes:
    """A poll."""
    head = f"GET /v1/requests/{request_id}/status HTTP/1.1\r\nHost: localhost\r\n"
    return f"{head}Authorization: Bearer {KEY}\r\n\r\n".encode()


async def poll_a_long_queue(ours: list[Connection], options: argparse.Namespace) -> str:
    """Fill the queue and poll a job near its end. Returns the id of the first job."""
    await run(ours, submit_request(), options.queued)
    first, last = (json.loads(ours[0].bodies[at])["request_id"] for at in (0, -1))
    await run(ours, status_request(last), options.requests)
    latencies = sorted(seconds for connection in ours for seconds in connection.latencies)
    p99_ms = latencies[int(len(latencies) * 0.99)] * 1e3
    console.print(
        f"status of the last of {options.queued} queued jobs, {options.connections} connections: "
        f"p99 {p99_ms:.1f} ms; goal < 200 ms\n"
    )
    return str(first)


async def measure(ours_port: int, echo_port: int, options: argparse.Namespace) -> None:
    """Poll a long queue; then compare with the echo, interleaved."""
    ours = await connect(ours_port, options.connections)
    bare = await connect(echo_port, options.connections)
    request_id = await poll_a_long_queue(ours, options)

    async def one(connections: list[Connection], request: bytes) -> list[float]:
        return [await run(connections, request, options.requests)]

    for title, request, goal in (
        ("status", status_request(request_id), 0.6),
        ("submit", submit_request(), 0.45),
    ):
        contestants = {"echo": partial(one, bare, request), "ours": partial(one, ours, request)}
        samples = await interleave(options.rounds, contestants)
        show(f"{title}, {options.connections} connections; goal {goal}", samples, "echo")
        console.print(f"{1 / median(samples['ours']):.0f} requests/s\n")


def main() -> None:
    """Start both servers and compare them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=64)
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
