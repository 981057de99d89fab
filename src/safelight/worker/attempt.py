"""One attempt at one job: what is known of it while a worker holds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from safelight import tracing
from safelight.jobs import Job, Progress


class Stage(Enum):
    """Where an attempt is: before, in or after the child, or with an upstream before that."""

    PREPARING = auto()
    ELSEWHERE = auto()
    RUNNING = auto()
    FINISHING = auto()


class Ending(Enum):
    """Why an attempt shall end before it is done."""

    LOST = auto()
    CANCELLED = auto()
    DRAINED = auto()


@dataclass(eq=False)
class Attempt:
    """A claimed job on its way through a worker. timings: seconds per stage. drawn_by: an upstream's name.

    make_room: called once, when the worker may prepare another. upstream_task: what this one waits for there.
    """

    job: Job
    folder: Path
    make_room: Callable[[], None] = lambda: None
    stage: Stage = Stage.PREPARING
    ending: Ending | None = None
    progress: Progress | None = None
    timings: dict[str, float] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    waits_for_child: bool = True
    drawn_by: str | None = None
    upstream_task: str | None = None

    @property
    def name(self) -> str:
        """A name that no other attempt has, at this job or another."""
        return self.folder.name

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds that the block takes to a stage."""
        started_s = time.monotonic()
        try:
            with tracing.span(stage):
                yield
        finally:
            self.timings[stage] = self.timings.get(stage, 0) + time.monotonic() - started_s

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """However the block ends, nothing ends the attempt from outside any more."""
        try:
            yield
        finally:
            self.stage = Stage.FINISHING

    def leave_room(self) -> None:
        """Let another attempt be prepared: this one has the child, or waits for it no more."""
        if self.waits_for_child:
            self.waits_for_child = False
            self.make_room()

    def note_progress(self, progress: Progress) -> None:
        """Remember how far the run is; the next heartbeat tells the database."""
        self.progress = progress
