"""The parent's end of a child process: start it, speak frames with it, watch it, replace it.

Which conversations there are, its kinds say: one draws (`parent.py`), one decodes (`decoder.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from safelight.engine.pixels import BrokenProtocol
from safelight.engine.protocol import (
    LENGTH_BYTES,
    Begun,
    Decode,
    Failed,
    FromChild,
    FromParent,
    Generate,
    Ready,
    Setup,
    body_length,
    decode_from_child,
    encode,
)
from safelight.errors import InternalError, JobFailure, StorageFull
from safelight.texts import Text

log = structlog.get_logger(__name__)

# What a child may know of its parent's environment: how to compute and where to find libraries.
_KNOWN_TO_CHILD = re.compile(
    r"PATH|PYTHONPATH|PYTHONUTF8|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|(CUDA|OMP|MKL|OPENBLAS|KMP)_\w+"
    r"|NVIDIA_(VISIBLE_DEVICES|DRIVER_CAPABILITIES)|PYTORCH_(CUDA_)?ALLOC_CONF|TORCH\w*_CACHE_DIR|TRITON_CACHE_DIR"
)
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_OFFLINE": "1"}


class ChildDied(Exception):
    """The child process died, hung or spoke nonsense while it worked on a job; it is gone now."""


class ChildNotStarted(Exception):
    """No child process could be started."""


class RunFailed(Exception):
    """The job failed inside the child: an error's stable code and its message."""

    def __init__(self, code: str, text: Text) -> None:
        super().__init__(code)
        self.code = code
        self.text = text


def failure(message: Failed) -> RunFailed | StorageFull:
    """What a child reports, as long as it is something that a job can fail of, or a full disk."""
    if message.code == StorageFull.code:
        return StorageFull()
    if message.code in {error.code for error in JobFailure.__subclasses__()}:
        return RunFailed(message.code, Text(message.en, message.ko))
    return RunFailed(InternalError.code, InternalError().text)


@dataclass(frozen=True)
class Patience:
    """How long a child may say nothing before it counts as hung, in seconds.

    A step of a large image takes a slow CPU minutes; loading reads tens of gigabytes; the slowest image to
    decode is a JPEG of 64 megapixels in 100 scans.
    """

    start_s: float = 120
    load_s: float = 900
    step_s: float = 300
    stop_s: float = 20
    decode_s: float = 300


class ChildProcess:
    """One child process at a time. It is started when needed and replaced when it has died."""

    def __init__(self, module: str, setup: Setup | None = None, patience: Patience | None = None) -> None:
        """module: what the process runs. setup: the first that it is told, if anything."""
        self._module = module
        self._setup = setup
        self._patience = patience or Patience()
        self._process: asyncio.subprocess.Process | None = None
        self._deadline: asyncio.Timeout | None = None
        self._must_speak_by_s: float | None = None
        self._starting = asyncio.Lock()
        self.confined = False

    @property
    def pid(self) -> int | None:
        """The process id of the living child."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Make sure that a child is there and ready. Raises ChildNotStarted."""
        async with self._starting:
            if self.pid is None:
                await self._start()

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
        try:
            self._process = await _spawn(self._module)
            if self._setup is not None:
                await self._send(self._setup)
            ready = await self._receive(self._patience.start_s)
        except (ChildDied, OSError) as error:
            await self.kill()
            raise ChildNotStarted(str(error)) from error
        except asyncio.CancelledError:
            await self.kill()
            raise
        self.confined = isinstance(ready, Ready) and ready.confined
        log.info("child_ready", module=self._module, pid=self.pid, confined=self.confined)

    async def _begin(self, request: Generate | Decode) -> None:
        """Have the child take a request; one that had died before it was asked is replaced."""
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

    def _hurry(self, limit_s: float) -> None:
        """Until it has answered, have the child speak within so many seconds, whatever it was given."""
        self._must_speak_by_s = asyncio.get_running_loop().time() + limit_s
        if self._deadline is not None:
            self._deadline.reschedule(self._must_speak_by_s)

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
        deadline_s = self._must_speak_by_s or asyncio.get_running_loop().time() + limit_s
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


async def _spawn(module: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the working directory is not a place to import from
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=child_environment(os.environ),
        start_new_session=True,  # its own process group: killed as a whole, and out of Ctrl-C's reach
    )


def child_environment(parent: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: what computing needs, no credentials, hub libraries offline."""
    return {name: value for name, value in parent.items() if _KNOWN_TO_CHILD.fullmatch(name)} | _OFFLINE
