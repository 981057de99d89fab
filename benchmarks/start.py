"""How long the server takes from its command to its first answer, against a bare uvicorn with Starlette.

    python -m benchmarks.start [--rounds 10]

Ours is the whole of `safelight serve` on a new data folder (tables are made, a key is saved, the worker is
started beside it); both answer the same request for the first time at the end of a sample. Goal: 2 s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from uvloop import run

from benchmarks._harness import console, interleave, median, show, show_machine

GOAL_S = 2.0

BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
app = Starlette(routes=[Route("/healthz", lambda request: PlainTextResponse("ok"))])
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", log_config=None)
"""


async def _sample(command: list[str], port: int) -> list[float]:
    started_s = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while not await _answers(port):  # noqa: ASYNC110 - it is another process that will answer
            await asyncio.sleep(0.002)
        return [time.perf_counter() - started_s]
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200 ")


async def _ours(folder: Path) -> list[float]:
    port = _free_port()
    data_dir = folder / str(time.monotonic_ns())
    flags = ["--data-dir", str(data_dir), "--port", str(port)]
    return await _sample([sys.executable, "-m", "safelight", "serve", *flags], port)


async def _bare() -> list[float]:
    port = _free_port()
    return await _sample([sys.executable, "-c", BARE, str(port)], port)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as trial:
        return int(trial.getsockname()[1])


async def _compare(rounds: int) -> None:
    with TemporaryDirectory() as folder:
        samples = await interleave(rounds, {"ours": partial(_ours, Path(folder)), "bare": _bare})
    show("from the command to the first answer", samples, "bare")
    console.print(f"goal < {GOAL_S:.0f} s: {median(samples['ours']):.2f} s")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    show_machine()
    for name in [name for name in os.environ if name.startswith("SAFELIGHT_")]:
        del os.environ[name]
    run(_compare(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
