"""One file from the hub: resumed where it broke off, checked against its hash, put in place as a whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

from huggingface_hub import hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get

from safelight.errors import PullFailed
from safelight.weights.listing import Hub, ListedFile, plain_refusals

CHUNK_BYTES = 4 * 2**20

Advance = Callable[[int], None]
"""So many bytes more are here; negative when some had to be dropped."""


class Stopped(Exception):
    """The pull was told to end."""


class Download:
    """Gets files of one hub; `stop` ends what runs at its next chunk, and what has come stays."""

    def __init__(self, hub: Hub, stop: Event) -> None:
        self._hub = hub
        self._stop = stop

    def fetch(
        self, repo: str, commit: str, name: str, file: ListedFile, blob: Path, advance: Advance
    ) -> None:
        """Bring one file to `blob`. Raises PullFailed when it is not what the hub says it is."""
        partial = partial_path(blob)
        blob.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):  # what an earlier pull left may be damaged; what comes now is then another try
            self._get(repo, commit, name, file, partial, advance)
            if matches(partial, file):
                partial.replace(blob)
                return
            advance(-partial.stat().st_size)
            partial.unlink()
        raise PullFailed(
            f"{repo}/{name} came with another content than the hub announces, twice. A proxy or a mirror "
            "between here and the hub changes it; try another way to the hub (SAFELIGHT_HUB_URL)."
        )

    def _get(
        self, repo: str, commit: str, name: str, file: ListedFile, partial: Path, advance: Advance
    ) -> None:
        url = hf_hub_url(repo, name, revision=commit, endpoint=self._hub.url)
        with partial.open("ab") as target, plain_refusals(repo, self._hub):
            there = target.tell()
            if there > file.size_bytes:
                advance(-there)
                target.truncate(there := 0)
            try:
                http_get(
                    url,
                    _Counted(target, advance, self._stop),
                    resume_size=there,
                    headers=self._hub.headers,
                    expected_size=file.size_bytes,
                    displayed_filename=name,
                )
            except HfHubHTTPError:
                raise
            except OSError as error:
                if error.errno is not None:
                    raise
                # The client's own complaint about the length; the hash decides.
            os.fsync(target.fileno())


class _Counted:
    """A file that tells how much has been written, and refuses once it was told to stop."""

    def __init__(self, file: BinaryIO, advance: Advance, stop: Event) -> None:
        self._file = file
        self._advance = advance
        self._stop = stop

    def write(self, data: bytes) -> int:
        if self._stop.is_set():
            raise Stopped
        written = self._file.write(data)
        self._advance(written)
        return written

    def truncate(self, size: int | None = None) -> int:
        before = os.fstat(self._file.fileno()).st_size
        after = self._file.truncate(size)
        self._advance(after - before)
        return after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say in plain words what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise PullFailed(
            f"{folder} cannot be written: {error.strerror or error}. What has come stays, and the same "
            "command goes on from there; SAFELIGHT_WEIGHTS_DIR names another folder."
        ) from None


def partial_path(blob: Path) -> Path:
    """Where a file grows until it is whole."""
    return blob.with_name(f"{blob.name}.incomplete")


def partial_bytes(blob: Path) -> int:
    """How much of a file is here already."""
    partial = partial_path(blob)
    return partial.stat().st_size if partial.exists() else 0


def matches(path: Path, file: ListedFile) -> bool:
    """Whether a file has the size and the hash that the hub announces."""
    if path.stat().st_size != file.size_bytes:
        return False
    return digest(path, file) == file.blob


def digest(path: Path, file: ListedFile, advance: Advance = lambda _: None) -> str:
    """The hash that names a file's blob: SHA-256, or for small files git's own."""
    if file.sha256:
        return sha256_of(path, advance)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def sha256_of(path: Path, advance: Advance = lambda _: None) -> str:
    """The SHA-256 of a file of any size. advance: told of every bit that has been read."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
            advance(len(chunk))
    return found.hexdigest()
