"""What a pull looks like: bars on a terminal, a line for each finished file elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from safelight.texts import readable_size
from safelight.weights.download import Advance
from safelight.weights.listing import Listing

SHORT_COMMIT = 12


class PullProgress:
    """The `Watch` of a pull."""

    def __init__(self, console: Console, bars: Progress) -> None:
        self._console = console
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def resolved(self, listing: Listing, files: int, size_bytes: int, missing_bytes: int) -> None:
        """A repository's commit and the files that are wanted of it."""
        left = f"{readable_size(missing_bytes)} to come" if missing_bytes else "all here; checking"
        commit = listing.commit[:SHORT_COMMIT]
        count = f"{files} file{'s' if files > 1 else ''}, {readable_size(size_bytes)}"
        self._say(f"{listing.repo} at {commit}: {count}, {left}")

    def summed(self, missing_bytes: int, free_bytes: int) -> None:
        """What has to come in all."""
        if missing_bytes:
            self._say(f"{readable_size(missing_bytes)} to come in all; {readable_size(free_bytes)} are free")

    def began(self, name: str, size_bytes: int, there_bytes: int, checking: bool) -> Advance:
        """A file is fetched, or checked where it is here."""
        verb = "check" if checking else "fetch"
        if name in self._tasks:  # it was checked, and is not right
            self._bars.remove_task(self._tasks.pop(name))
        task = self._tasks[name] = self._bars.add_task(
            f"{verb} {escape(name)}", total=size_bytes, completed=there_bytes
        )
        if there_bytes and not self._console.is_terminal:
            self._say(f"{name}: going on from {readable_size(there_bytes)}")
        return lambda count: self._bars.advance(task, count)

    def ended(self, name: str) -> None:
        """A file is here and right."""
        self._bars.remove_task(self._tasks.pop(name))
        self._say(f"{name}: right")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)


@contextmanager
def watching(console: Console) -> Iterator[PullProgress]:
    """Show a pull until the block ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield PullProgress(console, bars)
