"""How busy a queue keeps the device: a model that sleeps, everything around it for real.

    python -m benchmarks.busy [--jobs 30]

Each job's picture, 1024×1024, is fetched over HTTP, checked and decoded, and its output encoded as PNG and
stored; the worker, its children and SQLite are the real ones. Busy is the time in which the model sleeps, of
all the time from the first job's begin to the last one's end.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from uvloop import run

from benchmarks._harness import console, show_machine
from benchmarks._worker import working
from benchmarks.models.sleeper import SLEEP_S, Sleeper, photograph
from safelight.jobs import Job
from safelight.network.fetch import Fetcher

GOAL = 0.97


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP; its host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


async def _measure(folder: Path, count: int, host: str) -> None:
    body = Sleeper.Input.parse({"image_url": f"http://{host}/picture.png"}).settled()
    async with working(folder, Fetcher([host])) as store:
        ids = [await store.submit(Sleeper.id, body) for _ in range(count)]
        jobs = [await store.completed(job_id) for job_id in ids]
    _tell(jobs)


def _tell(jobs: list[Job]) -> None:
    # Loading the model, preparing the first job and encoding the last have nothing to hide behind.
    begins = [job.started_at for job in jobs if job.started_at]
    ends = [job.finished_at for job in jobs if job.finished_at]
    reports = [job.report for job in jobs if job.report]
    first, last = reports[0].timings, reports[-1].timings
    whole_s = (max(ends) - min(begins)).total_seconds() - first["load"]
    whole_s -= first["fetch"] + first["decode"] + last["encode"] + last["store"]
    slept_s = SLEEP_S * len(jobs)
    console.print(f"{'load':>10}: {first['load'] * 1e3:8.1f} ms, once")
    for stage in ("fetch", "decode", "generate", "encode", "store"):
        spent_ms = [report.timings[stage] * 1e3 for report in reports]
        console.print(f"{stage:>10}: {sorted(spent_ms)[len(spent_ms) // 2]:8.1f} ms median")
    console.print(
        f"{len(jobs)} jobs, {slept_s:.1f} s of {whole_s:.1f}: busy {slept_s / whole_s:.1%} (goal {GOAL:.0%})"
    )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=30)
    arguments = parser.parse_args()
    show_machine()
    with TemporaryDirectory() as folder:
        photograph().save(Path(folder) / "picture.png")
        with _served(Path(folder)) as host:
            run(_measure(Path(folder), arguments.jobs, host))


if __name__ == "__main__":
    main()
