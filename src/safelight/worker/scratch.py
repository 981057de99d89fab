"""A worker's folder for what it needs for seconds only: fetched images and raw pixels.

The folder is locked while its worker lives, so that the next worker can tell what dead ones have left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "lock"


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A private folder inside `parent`, gone at the end; folders of workers that died are removed."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = parent / name
    folder.mkdir(mode=0o700)
    with _locked(folder):
        for other in parent.iterdir():
            if other != folder:
                _remove_if_left_behind(other)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which ends with the process. Raises OSError when another process holds it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_if_left_behind(folder: Path) -> None:
    # A folder whose lock is not there yet belongs to a worker that is just starting.
    if (folder / LOCK).exists():
        with contextlib.suppress(OSError), _locked(folder):
            shutil.rmtree(folder, ignore_errors=True)
