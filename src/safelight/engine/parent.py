"""The parent's side of the engine: give the child that draws its jobs, hear of their progress, stop them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from safelight.engine.pixels import BrokenProtocol
from safelight.engine.process import ChildDied, ChildProcess, Patience, failure
from safelight.engine.protocol import (
    Done,
    Failed,
    Generate,
    Loaded,
    Setup,
    Step,
    Stop,
    Stopped,
)
from safelight.jobs import Progress


class RunStopped(Exception):
    """The job ended because `stop` was called."""


class Child(ChildProcess):
    """The process that holds the weights and the device, and draws one job after the other."""

    def __init__(self, setup: Setup, patience: Patience | None = None) -> None:
        super().__init__("safelight.engine.child", setup, patience)
        self._running_job_id: str | None = None
        self.resident: frozenset[str] = frozenset()
        """The models that the child had loaded when it last said so."""

    async def generate(
        self, request: Generate, on_progress: Callable[[Progress], None]
    ) -> tuple[Done, float]:
        """Run one job on a started child. Returns what it made, and the seconds that loading took.

        Raises RunFailed, RunStopped, StorageFull, ChildDied or ChildNotStarted.
        """
        self._running_job_id = request.job_id
        try:
            await self._begin(request)
            return await self._converse(on_progress)
        except (ChildDied, asyncio.CancelledError):
            await self.kill()
            raise
        finally:
            self._running_job_id, self._must_speak_by_s = None, None

    async def stop(self, job_id: str) -> None:
        """Ask the child to end this job at its next step; a child that does not is killed in a while."""
        if self._running_job_id != job_id:
            return
        self._hurry(self._patience.stop_s)
        with contextlib.suppress(ChildDied):
            await self._send(Stop())

    async def _start(self) -> None:
        self.resident = frozenset()
        await super()._start()

    async def _converse(self, on_progress: Callable[[Progress], None]) -> tuple[Done, float]:
        load_s, limit_s = 0.0, self._patience.load_s
        while True:
            message = await self._receive(limit_s)
            match message:
                case Loaded():
                    load_s, limit_s = message.load_s, self._patience.step_s
                    self.resident = frozenset(message.resident)
                case Step():
                    on_progress(_progress(message))
                case Done():
                    return message, load_s
                case Failed():
                    raise failure(message)
                case Stopped():
                    raise RunStopped
                case _:
                    raise ChildDied("it spoke out of turn")


def _progress(message: Step) -> Progress:
    try:
        preview = message.preview.preview if message.preview else None
    except BrokenProtocol as error:
        raise ChildDied(str(error)) from error
    return Progress(message.step, message.steps, preview)
