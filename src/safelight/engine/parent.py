"""The parent's side of the engine: start a child process, give it jobs, watch it, replace it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from safelight.engine.protocol import (
    LENGTH_BYTES,
    Begun,
    BrokenProtocol,
    Decode,
    Done,
    Failed,
    FromChild,
    FromParent,
    Generate,
    Loaded,
    Ready,
    Setup,
    Step,
    Stop,
    Stopped,
    body_length,
    decode_from_child,
    encode,
)
from safelight.errors import InternalError, JobFailure, StorageFull
from safelight.jobs import Progress
from safelight.texts import Text

log = structlog.get_logger(__name__)

# What a child may know of its parent's environment: how to compute and where to find libraries.
_KNOWN_TO_CHILD = re.compile(
    r"PATH|PYTHONPATH|PYTHONUTF8|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|(CUDA|OMP|MKL|OPENBLAS|KMP)_\w+"
    r"|NVIDIA_(VISIBLE_DEVICES|DRIVER_CAPABILITIES)|PYTORCH_(CUDA_)?ALLOC_CONF|TORCH\w*_CACHE_DIR|TRITON_CACHE_DIR"
)
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_OFFLINE": "1"}


class ChildDied(Exception):
    """The child process died, hung or spoke nonsense while it ran a job; it is gone now."""


class ChildNotStarted(Exception):
    """No child process could be started."""


class RunStopped(Exception):
    """The job ended because `stop` was called."""


class RunFailed(Exception):
    """The job failed inside the child: an error's stable code and its message."""

    def __init__(self, code: str, text: Text) -> None:
        super().__init__(code)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Patience:
    """How long a child may say nothing before it counts as hung, in seconds.

    A step of a large image takes a slow CPU minutes; loading reads tens of gigabytes.
    """

    start_s: float = 120
    load_s: float = 900
    step_s: float = 300
    stop_s: float = 20


class Child:
    """One child process at a time. It is started when needed and replaced when it has died."""

    def __init__(self, setup: Setup, patience: Patience | None = None) -> None:
        self._setup = setup
        self._patience = patience or Patience()
        self._process: asyncio.subprocess.Process | None = None
        self._running_job_id: str | None = None
        self._deadline: asyncio.Timeout | None = None
        self._stop_by_s: float | None = None
        self._starting = asyncio.Lock()
        self.confined = False
        self.resident: frozenset[str] = frozenset()
        """The models that the child had loaded when it last said so."""

    @property
    def pid(self) -> int | None:
        """The process id of the living child."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Make sure that a child is there and ready. Raises ChildNotStarted."""
        async with self._starting:
            if self.pid is None:
                await self._start()

    async def generate(
        self, request: Generate | Decode, on_progress: Callable[[Progress], None]
    ) -> tuple[Done, float]:
        """Run one job on a started child. Returns what it made, and the seconds that loading took.

        Raises RunFailed, RunStopped, ChildDied or ChildNotStarted.
        """
        self._running_job_id = request.job_id
        try:
            await self._begin(request)
            return await self._converse(on_progress)
        except (ChildDied, asyncio.CancelledError):
            await self.kill()
            raise
        finally:
            self._running_job_id, self._stop_by_s = None, None

    async def stop(self, job_id: str) -> None:
        """Ask the child to end this job at its next step; a child that does not is killed in a while."""
        if self._running_job_id != job_id:
            return
        self._stop_by_s = asyncio.get_running_loop().time() + self._patience.stop_s
        if self._deadline is not None:
            self._deadline.reschedule(self._stop_by_s)
        with contextlib.suppress(ChildDied):
            await self._send(Stop())

    async def kill(self) -> None:
        """End the child and everything that it has started; no zombie stays."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        process.stdin.close()
        with contextlib.suppress(OSError):
            await process.stdin.wait_closed()

    async def _start(self) -> None:
        await self.kill()
        self.resident = frozenset()
        try:
            self._process = await _spawn()
            await self._send(self._setup)
            ready = await self._receive(self._patience.start_s)
        except (ChildDied, OSError) as error:
            await self.kill()
            raise ChildNotStarted(str(error)) from error
        except asyncio.CancelledError:
            await self.kill()
            raise
        self.confined = isinstance(ready, Ready) and ready.confined
        log.info("child_ready", pid=self.pid, confined=self.confined)

    async def _begin(self, request: Generate | Decode) -> None:
        """Have the child take the job; one that had died before it was asked is replaced."""
        try:
            await self._ask(request)
        except ChildDied:
            await self.kill()
            await self.start()
            await self._ask(request)

    async def _ask(self, request: Generate | Decode) -> None:
        await self._send(request)
        # It may just be loading a model on its own.
        if not isinstance(await self._receive(self._patience.load_s), Begun):
            raise ChildDied("it spoke out of turn")

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
                    raise _failure(message)
                case Stopped():
                    raise RunStopped
                case _:
                    raise ChildDied("it spoke out of turn")

    async def _send(self, message: FromParent) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise ChildDied("it is not running")
        try:
            process.stdin.write(encode(message))
            async with asyncio.timeout(self._patience.stop_s):
                await process.stdin.drain()
        except TimeoutError as error:
            raise ChildDied("it does not listen") from error
        except OSError as error:
            raise ChildDied("it closed its end") from error

    async def _receive(self, limit_s: float) -> FromChild:
        """The child's next message, within limit_s seconds. Raises ChildDied."""
        process = self._process
        if process is None or process.stdout is None:
            raise ChildDied("it is not running")
        # A model may go on and report steps after it was told to stop: that earns it no time.
        deadline_s = self._stop_by_s or asyncio.get_running_loop().time() + limit_s
        try:
            async with asyncio.timeout_at(deadline_s) as self._deadline:
                prefix = await process.stdout.readexactly(LENGTH_BYTES)
                return decode_from_child(await process.stdout.readexactly(body_length(prefix)))
        except TimeoutError as error:
            raise ChildDied("it hangs") from error
        except asyncio.IncompleteReadError as error:
            raise ChildDied("it is gone") from error
        except BrokenProtocol as error:
            raise ChildDied(str(error)) from error
        finally:
            self._deadline = None


def _progress(message: Step) -> Progress:
    try:
        preview = message.preview.preview if message.preview else None
    except BrokenProtocol as error:
        raise ChildDied(str(error)) from error
    return Progress(message.step, message.steps, preview)


def _failure(message: Failed) -> RunFailed:
    """What the child reports, as long as it is something that a job can fail of."""
    known = {StorageFull.code, *(error.code for error in JobFailure.__subclasses__())}
    if message.code in known:
        return RunFailed(message.code, Text(message.en, message.ko))
    return RunFailed(InternalError.code, InternalError().text)


async def _spawn() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the working directory is not a place to import from
        "-m",
        "safelight.engine.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=child_environment(os.environ),
        start_new_session=True,  # its own process group: killed as a whole, and out of Ctrl-C's reach
    )


def child_environment(parent: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: what computing needs, no credentials, hub libraries offline."""
    return {name: value for name, value in parent.items() if _KNOWN_TO_CHILD.fullmatch(name)} | _OFFLINE
