"""Tell idle workers that there is work, across processes and machines.

A hint, never the truth: whoever misses it asks the database again after a timeout.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class Waker(Protocol):
    """Wakes workers. It belongs to one event loop; one task at a time waits."""

    async def notify(self) -> None:
        """Wake all waiting workers. Never raises: without it they wake by their timeout."""

    async def wait(self, timeout_s: float) -> None:
        """Return when something was notified since the last wait, or after `timeout_s`.

        The first wait, and the first after a lost connection, return at once: ask the database again.
        """

    async def close(self) -> None:
        """Stop listening."""


def open_waker(database_url: str) -> Waker:
    """Return the waker that belongs to a database."""
    if database_url.startswith("sqlite:///"):
        return SocketWaker(Path(database_url.removeprefix("sqlite:///")))
    from safelight.db.postgres import PostgresWaker  # Imported late: nobody else needs asyncpg.

    return PostgresWaker(database_url)


async def wait_for(woken: asyncio.Event, timeout_s: float) -> None:
    """Wait for the event at most `timeout_s`, and consume it."""
    timer = asyncio.get_running_loop().call_later(timeout_s, woken.set)
    try:
        await woken.wait()
    finally:
        timer.cancel()
    woken.clear()


class SocketWaker:
    """Datagram sockets in a private folder, one for each listener on this machine."""

    def __init__(self, database: Path) -> None:
        # Under the temporary folder, not beside the database: a socket's path holds about 100 bytes.
        name = hashlib.sha256(os.fsencode(database.resolve())).hexdigest()[:16]
        self._folder = Path(tempfile.gettempdir()) / f"safelight-{os.getuid()}-{name}"
        self._sender = _datagram_socket()
        self._listener: socket.socket | None = None
        self._woken = asyncio.Event()
        self._has_knocked = False
        self._knock_again = False

    async def notify(self) -> None:
        """See Waker.notify. What is notified in one turn of the event loop makes two knocks at most."""
        if self._has_knocked:
            self._knock_again = True
            return
        self._has_knocked = True
        asyncio.get_running_loop().call_soon(self._end_turn)
        self._knock_everywhere()

    def _end_turn(self) -> None:
        self._has_knocked = False
        if self._knock_again:
            # Whoever woke at the first knock may have looked before the last commit of the turn.
            self._knock_again = False
            self._knock_everywhere()

    def _knock_everywhere(self) -> None:
        with suppress(OSError):
            if _is_private(self._folder):
                for name in os.listdir(self._folder):
                    self._knock(f"{self._folder}/{name}")

    async def wait(self, timeout_s: float) -> None:
        """See Waker.wait."""
        if not self._is_reachable() and self._listen():
            return
        await wait_for(self._woken, timeout_s)

    async def close(self) -> None:
        """See Waker.close."""
        self._sender.close()
        self._hang_up()

    def _knock(self, path: str) -> None:
        try:
            self._sender.sendto(b"!", path)
        except ConnectionRefusedError:  # Its process died.
            os.unlink(path)
        except BlockingIOError:  # Its queue is full: it is awake.
            pass

    def _is_reachable(self) -> bool:
        """Whether our socket is still there: temporary folders are swept."""
        return self._listener is not None and os.path.exists(self._listener.getsockname())

    def _listen(self) -> bool:
        """Open a listener. False: there is no folder to trust, the timeout must do."""
        self._hang_up()
        listener = _datagram_socket()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if not _is_private(self._folder):
                raise PermissionError
            listener.bind(str(self._folder / secrets.token_hex(8)))
        except OSError:
            listener.close()
            return False
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._hear)
        return True

    def _hang_up(self) -> None:
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener)
        with suppress(OSError):
            os.unlink(self._listener.getsockname())
            self._folder.rmdir()  # Refused while others listen.
        self._listener.close()
        self._listener = None

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while self._listener and self._listener.recv(1):
                self._woken.set()


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def _is_private(folder: Path) -> bool:
    """Whether it is ours alone: anybody may have made one of that name in the temporary folder."""
    found = folder.lstat()
    return found.st_uid == os.getuid() and found.st_mode == stat.S_IFDIR | 0o700
