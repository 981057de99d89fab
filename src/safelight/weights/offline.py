"""What of a repository is on the disk already, told without asking anybody."""

from __future__ import annotations

import re
from pathlib import Path

from safelight.errors import PullFailed
from safelight.weights.disk import WeightsDisk
from safelight.weights.download import sha256_of
from safelight.weights.listing import ListedFile, Listing
from safelight.weights.lock import LockedFile

BRANCH = "main"

_SHA256, _HASH = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def found_here(disk: WeightsDisk, repo: str) -> Listing:
    """The files of the commit that is held; without a lock, those of the one that the folder calls `main`.

    Folders in this layout come from an earlier pull, from another machine, or from the hub's own client.
    Raises PullFailed where there is none.
    """
    held = disk.lock.repos.get(repo)
    commit = held.commit if held else _branch(disk, repo)
    root = disk.snapshot(repo, commit)
    files = {str(path.relative_to(root)): _found(disk, repo, path) for path in _files(root)}
    if held:
        files |= {path: _listed(file) for path, file in held.files.items()}
    return Listing(repo, commit, files)


def note_branch(disk: WeightsDisk, repo: str, commit: str) -> None:
    """Write down what `main` meant, where the hub's own client does: the folder alone then tells."""
    reference = _reference(disk, repo)
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)


def _branch(disk: WeightsDisk, repo: str) -> str:
    reference = _reference(disk, repo)
    commit = reference.read_text().strip() if reference.is_file() else ""
    if not _HASH.fullmatch(commit):
        raise PullFailed(
            f"{repo} is not in {disk.folder}; pull it without --offline once, or bring that folder from a "
            "machine that has it."
        )
    return commit


def _reference(disk: WeightsDisk, repo: str) -> Path:
    return disk.repo_folder(repo) / "refs" / BRANCH


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def _found(disk: WeightsDisk, repo: str, path: Path) -> ListedFile:
    name = path.resolve().name if path.is_symlink() else ""
    if not _HASH.fullmatch(name):  # it was copied without its links, and lies here under its own name
        name = sha256_of(path)
        disk.adopt(path, disk.blob(repo, name))
    return ListedFile(path.stat().st_size, name, name if _SHA256.fullmatch(name) else None)


def _listed(file: LockedFile) -> ListedFile:
    return ListedFile(file.size_bytes, file.blob, file.sha256 if _SHA256.fullmatch(file.blob) else None)
