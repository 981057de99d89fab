"""LoRA files that were fetched, kept by the hash of their bytes until room is needed.

The folder is shared by all workers of a machine. `<sha256>.safetensors` is a file, `index/<key>.json` says
which file a source had. Bytes that two accounts fetched lie here once, but the index is looked up by a key
that carries the account wherever a source may be private.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from safelight.errors import FileTooLarge
from safelight.files.files import disk_errors
from safelight.jobs import new_id
from safelight.texts import Text

CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Kept:
    """What a source had when it was fetched last. etag: what its server calls that version."""

    sha256: str
    etag: str


class LoraCache:
    """Files by content, at most `limit_bytes` of them; the least recently used leave first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        with disk_errors():
            (folder / "index").mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    def known(self, key: str) -> Kept | None:
        """What is kept for a source, if its file is still here."""
        with suppress(OSError, ValueError, TypeError):
            kept = Kept(**json.loads(self._index(key).read_bytes()))
            if self._path(kept.sha256).is_file():
                return kept
        return None

    def take(self, sha256: str, into: Path) -> bool:
        """Put a kept file at `into`, where it stays whatever leaves the cache. False: it is gone."""
        path = self._path(sha256)
        try:
            os.utime(path)
            place(path, into)
        except FileNotFoundError:
            return False
        return True

    def add(self, key: str, path: Path, etag: str) -> str:
        """Keep a file, which stays where it is too, and make room. Returns its hash."""
        sha256 = hash_of(path)
        if path.stat().st_size > self._limit_bytes:
            most = self._limit_bytes // 1_000_000
            raise FileTooLarge(Text(f"The file is larger than {most} MB.", f"파일이 {most}MB보다 큽니다."))
        with disk_errors():
            if not self._path(sha256).is_file():
                self._write(self._path(sha256), path)
            os.utime(self._path(sha256))
            self._note(key, Kept(sha256, etag))
            self._make_room(sha256)
        return sha256

    def _write(self, kept: Path, path: Path) -> None:
        partial = self._folder / f"{new_id()}.partial"
        try:
            place(path, partial)
            partial.replace(kept)
        finally:
            partial.unlink(missing_ok=True)

    def _note(self, key: str, kept: Kept) -> None:
        partial = self._folder / "index" / f"{new_id()}.partial"
        partial.write_text(json.dumps(asdict(kept)))
        partial.replace(self._index(key))

    def _make_room(self, newest: str) -> None:
        """Remove what was not used for longest. What a job holds lives on in the job's own folder."""
        found = [(path.stat(), path) for path in self._folder.glob("*.safetensors")]
        found.sort(key=lambda entry: entry[0].st_mtime_ns)
        excess = sum(status.st_size for status, _ in found) - self._limit_bytes
        for status, path in found:
            if excess <= 0:
                return
            if path.stem != newest:
                path.unlink(missing_ok=True)
                excess -= status.st_size

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.safetensors"

    def _index(self, key: str) -> Path:
        return self._folder / "index" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def place(path: Path, into: Path) -> None:
    """Have a file under a second name: a link where the disk is the same, else a copy."""
    try:
        os.link(path, into)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, into)


def hash_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
