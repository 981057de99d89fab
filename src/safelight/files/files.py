"""Where bytes live: a local folder that never shows half a file.

A file appears under its name whole and durable, or not at all: it is written beside, synced, checked and
renamed. Names are the ids that `jobs.new_id` makes; nothing a caller says becomes a path.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Protocol

from safelight.errors import NotFound, StorageFull, Unavailable
from safelight.texts import Text

PARTIAL = "partial"
PREFIX_LENGTH = 2
ABANDONED_AFTER_S = 24 * 3600
"""After this long an unfinished file was left behind by a process that died."""


class FileStore(Protocol):
    """What keeps inputs and outputs."""

    async def put(self, name: str, data: bytes) -> None:
        """Store data durably under a name; a second put replaces it. Raises StorageFull."""
        ...

    def path(self, name: str) -> Path:
        """Where the file of that name is. Raises NotFound when it cannot be a name."""
        ...

    async def delete(self, name: str) -> None:
        """Remove a file; one that is absent is fine."""
        ...

    def free_bytes(self) -> int:
        """How many bytes can still be stored."""
        ...

    def names(self) -> Iterator[str]:
        """The names of all files, in no order."""
        ...


class LocalFiles:
    """Files in a folder of this machine, spread over subfolders by the first two characters of the name."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, private to this user, and clear out what a crash left unfinished."""
        self.folder = folder
        self._partial = folder / PARTIAL
        with disk_errors():
            self._partial.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._sweep()

    async def put(self, name: str, data: bytes) -> None:
        """Store data durably under a name; a second put replaces it. Raises StorageFull."""
        await asyncio.to_thread(self._put, self.path(name), data)

    def path(self, name: str) -> Path:
        """Where the file of that name is. Raises NotFound when it cannot be a name."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{22}", name):
            raise NotFound
        return self.folder / name[:PREFIX_LENGTH] / name

    async def delete(self, name: str) -> None:
        """Remove a file; one that is absent is fine."""
        await asyncio.to_thread(self._delete, self.path(name))

    def free_bytes(self) -> int:
        """How many bytes can still be stored."""
        with disk_errors():
            found = os.statvfs(self.folder)
            return found.f_bavail * found.f_frsize

    def names(self) -> Iterator[str]:
        """The names of all files, in no order."""
        with disk_errors():
            for subfolder in self.folder.iterdir():
                if len(subfolder.name) == PREFIX_LENGTH and subfolder.is_dir():
                    yield from (path.name for path in subfolder.iterdir())

    def _put(self, path: Path, data: bytes) -> None:
        partial = self._partial / f"{path.name}.{secrets.token_hex(8)}"
        with disk_errors():
            try:
                write_durably(partial, data)
                _make_folder(path.parent)
                partial.replace(path)
                sync_folder(path.parent)
            finally:
                partial.unlink(missing_ok=True)

    def _delete(self, path: Path) -> None:
        with disk_errors():
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        for partial in self._partial.iterdir():
            with suppress(FileNotFoundError):  # another process finished or swept it meanwhile
                if time.time() - partial.stat().st_mtime > ABANDONED_AFTER_S:
                    partial.unlink()


_STORAGE_FAILED = Text(
    "The storage of this server failed; try again shortly.",
    "이 서버의 저장 장치에 문제가 있습니다. 잠시 후 다시 시도해 주세요.",
)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise StorageFull for a full disk, quota or size limit, and Unavailable for other trouble."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFull from error
        raise Unavailable(_STORAGE_FAILED) from error


def create_private(path: Path) -> FileIO:
    """Open a file for writing that only this user may read; what was there before is dropped."""
    path.unlink(missing_ok=True)
    return FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def write_all(file: FileIO, data: bytes) -> None:
    """Write all of data, whatever the system takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def write_durably(path: Path, data: bytes) -> None:
    """Make a private file whose content is on the disk; its name is once `sync_folder` has returned."""
    with create_private(path) as file:
        write_all(file, data)
        os.fsync(file.fileno())
        if os.fstat(file.fileno()).st_size != len(data):
            raise OSError(errno.EIO, "the stored size differs")


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make names durable: a rename outlives a power cut only once its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
