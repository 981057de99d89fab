"""Give disk space back: files that the lock no longer names, and no other tool's."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from safelight.models.base import Part
from safelight.weights.disk import WeightsDisk
from safelight.weights.download import partial_path
from safelight.weights.lock import Lock, LockedRepo


def without(disk: WeightsDisk, parts: Sequence[Part], kept: Sequence[Part]) -> Lock:
    """The disk's lock without the files of some parts, except those that others need."""
    lock = disk.lock
    for repo, held in disk.lock.repos.items():
        mine = [part for part in parts if part.repo == repo]
        others = [part for part in kept if part.repo == repo]
        files = {
            path: file
            for path, file in held.files.items()
            if any(part.wants(path) for part in others) or not any(part.wants(path) for part in mine)
        }
        if not files:
            lock = lock.without_repo(repo)
        elif len(files) < len(held.files):
            lock = lock.with_repo(repo, LockedRepo(held.revision, held.commit, files))
    return lock


def delete_unheld(before: WeightsDisk, after: Lock) -> int:
    """Delete what the earlier lock named and the later one does not. Returns the bytes that are free now.

    Blobs go with their last name: a folder that other programs use too keeps what they know of.
    """
    freed = 0
    for repo, held in before.lock.repos.items():
        later = after.repos.get(repo)
        names = later.files if later and later.commit == held.commit else {}
        root = before.snapshot(repo, held.commit)
        for path, file in held.files.items():
            if path in names:
                continue
            (root / path).unlink(missing_ok=True)
            partial_path(before.blob(repo, file.blob)).unlink(missing_ok=True)
            if not _is_named(before, repo, file.blob):
                blob = before.blob(repo, file.blob)
                freed += file.size_bytes if blob.exists() and blob.stat().st_nlink == 1 else 0
                blob.unlink(missing_ok=True)
        _drop_empty_folders(before, repo)
    return freed


def leftovers(disk: WeightsDisk, repo: str) -> list[Path]:
    """What an interrupted pull has left of a repository: files that no commit names."""
    root = disk.repo_folder(repo)
    named = {link.resolve().name for link in (root / "snapshots").rglob("*") if link.is_symlink()}
    return [path for path in (root / "blobs").glob("*") if path.is_file() and path.name not in named]


def delete_leftovers(disk: WeightsDisk, repos: Iterable[str]) -> int:
    """Delete what interrupted pulls have left of some repositories. Returns the bytes that are free now."""
    freed = 0
    for repo in repos:
        for path in leftovers(disk, repo):
            found = path.stat()
            freed += found.st_size if found.st_nlink == 1 else 0
            path.unlink()
        _drop_empty_folders(disk, repo)
    return freed


def _is_named(disk: WeightsDisk, repo: str, blob: str) -> bool:
    snapshots = disk.repo_folder(repo) / "snapshots"
    return any(link.is_symlink() and link.resolve().name == blob for link in snapshots.rglob("*"))


def _drop_empty_folders(disk: WeightsDisk, repo: str) -> None:
    root = disk.repo_folder(repo)
    folders = [path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()]
    for folder in sorted(folders, key=lambda path: -len(path.parts)):
        if not any(folder.iterdir()):
            folder.rmdir()
    if root.is_dir() and not any(path.is_file() for path in (root / "blobs").glob("*")):
        shutil.rmtree(root)
