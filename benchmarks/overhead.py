"""Everything around the model: submit to result with a model that does nothing.

    python -m benchmarks.overhead [--jobs 50] [--rounds 10]

Ours is a real worker with its child process on SQLite: wake-up, claim, generate in the child, encode, store,
finish. Raw is a loop of the same three durable commits on the bare driver, in the same tables.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from uvloop import run

from benchmarks._harness import console, interleave, median, show, show_machine
from benchmarks._worker import Watched, working
from benchmarks.raw import RawSqlite
from safelight.network.fetch import Fetcher

MODEL = "benchmark/nothing"
RAW_MODEL = "benchmark/raw"
VALUES = {"seed": 7}


async def _our_job(store: Watched) -> float:
    started_s = time.perf_counter()
    await store.completed(await store.submit(MODEL, VALUES))
    return time.perf_counter() - started_s


async def _raw_job(raw: RawSqlite) -> float:
    started_s = time.perf_counter()
    await raw.add(RAW_MODEL, VALUES)
    claimed = await raw.claim(RAW_MODEL)
    assert claimed is not None
    await raw.finish(claimed[0])
    return time.perf_counter() - started_s


async def _measure(folder: Path, rounds: int, jobs: int) -> None:
    async with working(folder, Fetcher()) as store:
        raw = RawSqlite(folder / "safelight.db")

        async def ours() -> list[float]:
            return [await _our_job(store) for _ in range(jobs)]

        async def raw_loop() -> list[float]:
            return [await _raw_job(raw) for _ in range(jobs)]

        samples = await interleave(rounds, {"three commits": raw_loop, "ours": ours})
        await raw.close()
    show("submit to result, one job at a time", samples, against="three commits")
    excess_ms = (median(samples["ours"]) - median(samples["three commits"])) * 1e3
    ratio = median(samples["ours"]) / median(samples["three commits"])
    console.print(f"ours / three commits: {ratio:.2f} (goal 1.5); beyond them: {excess_ms:.2f} ms (goal 5)")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50, help="jobs a round")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    show_machine()
    with TemporaryDirectory() as folder:
        run(_measure(Path(folder), arguments.rounds, arguments.jobs))


if __name__ == "__main__":
    main()
