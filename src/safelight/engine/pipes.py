"""A child process's end of the pipes to its parent, and what it does before anything else."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import warnings
from typing import NoReturn

from safelight.engine.confine import die_with_parent, leave_network
from safelight.engine.pixels import BrokenProtocol
from safelight.engine.protocol import (
    LENGTH_BYTES,
    Decode,
    FromChild,
    Generate,
    Setup,
    Stop,
    body_length,
    decode_from_parent,
    encode,
)


def enter() -> tuple[Parent, bool]:
    """Give up the network, end with the parent, listen to it. Returns whether the kernel confines us, too.

    Call it before numpy and torch are imported: a process that has threads may not enter a user namespace.
    """
    confined = leave_network()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    return Parent(), confined


class Parent:
    """The pipes to the parent process, and a thread that listens even while the main thread computes."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[Setup | Generate | Decode] = queue.SimpleQueue()
        self.has_asked = threading.Event()
        self._stop = threading.Event()
        self._incoming, self._outgoing = _take_over_pipes()
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def send(self, message: FromChild) -> None:
        """Say something to the parent."""
        frame = memoryview(encode(message))
        try:
            while frame:
                frame = frame[os.write(self._outgoing, frame) :]
        except BrokenPipeError:
            _end()

    def wants_stop(self) -> bool:
        """Whether the parent has said that the running job shall end."""
        return self._stop.is_set()

    def _listen(self) -> None:
        with open(self._incoming, "rb") as incoming:
            while prefix := incoming.read(LENGTH_BYTES):
                try:
                    message = decode_from_parent(incoming.read(body_length(prefix)))
                except BrokenProtocol:
                    break
                if isinstance(message, Stop):
                    self._stop.set()
                else:
                    self._stop.clear()
                    self.requests.put(message)
                    if not isinstance(message, Setup):
                        self.has_asked.set()
        _end()


def _take_over_pipes() -> tuple[int, int]:
    """Move the protocol off standard input and output, so that what libraries print cannot corrupt it."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return incoming, outgoing


def _end() -> NoReturn:
    """End at once, with every process that a library has started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
