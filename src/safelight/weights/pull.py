"""Bring the weights of models here: what is missing, nothing twice, and held by the lock at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from safelight.errors import PullFailed
from safelight.models.base import Part
from safelight.texts import readable_size
from safelight.weights.disk import WeightsDisk
from safelight.weights.download import Advance, Download, digest, disk_errors, partial_bytes, sha256_of
from safelight.weights.listing import Hub, ListedFile, Listing
from safelight.weights.lock import LockedFile, LockedRepo
from safelight.weights.offline import BRANCH, found_here, note_branch

AT_ONCE = 4
"""Files that are fetched or checked at the same time."""
SPARE_BYTES = 10**9
"""What must stay free on the disk."""


class Watch(Protocol):
    """Whoever wants to see how a pull goes on."""

    def resolved(self, listing: Listing, files: int, size_bytes: int, missing_bytes: int) -> None:
        """A repository's commit and the files that are wanted of it."""
        ...

    def summed(self, missing_bytes: int, free_bytes: int) -> None:
        """What has to come of all repositories, each file once, and what the disk has free."""
        ...

    def began(self, name: str, size_bytes: int, there_bytes: int, checking: bool) -> Advance:
        """A file is fetched, or checked where it is here. Returns what is to be told of every bit of it."""
        ...

    def ended(self, name: str) -> None:
        """A file is here and right."""
        ...


@dataclass(frozen=True)
class _Want:
    """A file of a repository that has to be here."""

    repo: str
    commit: str
    path: str
    file: ListedFile

    @property
    def name(self) -> str:
        return f"{self.repo}/{self.path}"


class Pull:
    """One pull of some parts. stop: set from outside, it ends; what is here by then stays."""

    def __init__(self, hub: Hub, disk: WeightsDisk, watch: Watch, stop: Event) -> None:
        self._hub = hub
        self._disk = disk
        self._watch = watch
        self._stop = stop
        self._download = Download(hub, stop)

    def run(self, parts: Sequence[Part], *, upgrade: bool = False, offline: bool = False) -> WeightsDisk:
        """Pull the parts. Returns the disk with its new lock, which the caller keeps.

        upgrade: take what the branch means now, not the commit that is held. offline: ask nobody, check what
        is here. Raises PullFailed, with everything that did come kept for the next time.
        """
        wanted = [
            want for repo, own in _by_repo(parts).items() for want in self._wants(repo, own, upgrade, offline)
        ]
        missing = [want for want in wanted if not self._disk.blob(want.repo, want.file.blob).exists()]
        if offline and missing:
            raise PullFailed(
                f"{len(missing)} files are not here, among them {missing[0].name}; pull without --offline, "
                f"or copy the folder {self._disk.folder} from a machine that has them."
            )
        with disk_errors(self._disk.folder):
            self._share_held(missing)
            self._check_space(missing)
            hashes = self._all(wanted)
            self._share_fetched(wanted)
            return self._held(wanted, hashes, fresh=not offline and upgrade)

    # --- what is wanted ---------------------------------------------------------------------------------

    def _wants(self, repo: str, parts: Sequence[Part], upgrade: bool, offline: bool) -> list[_Want]:
        listing = found_here(self._disk, repo) if offline else self._listing(repo, upgrade)
        files = {path: file for part in parts for path, file in _chosen(part, listing, offline).items()}
        wants = [_Want(repo, listing.commit, path, file) for path, file in sorted(files.items())]
        lacking = [want for want in wants if not self._disk.blob(repo, want.file.blob).exists()]
        self._watch.resolved(listing, len(wants), _size(wants), _size(lacking))
        return wants

    def _listing(self, repo: str, upgrade: bool) -> Listing:
        held = self._disk.lock.repos.get(repo)
        return self._hub.listing(repo, BRANCH if upgrade or held is None else held.commit)

    # --- bringing it here -------------------------------------------------------------------------------

    def _share_held(self, missing: list[_Want]) -> None:
        """Take from another repository what is the same file: two models may share their text encoder."""
        known = {
            file.sha256: self._disk.blob(repo, file.blob)
            for repo, held in self._disk.lock.repos.items()
            for file in held.files.values()
        }
        for want in list(missing):
            twin = known.get(want.file.sha256 or "")
            if twin is not None and twin.exists():
                self._disk.adopt(twin, self._disk.blob(want.repo, want.file.blob))
                missing.remove(want)

    def _share_fetched(self, wanted: Iterable[_Want]) -> None:
        """Give every repository of this pull the files of which one was fetched for all."""
        blobs = {want.file.blob: self._disk.blob(want.repo, want.file.blob) for want in _distinct(wanted)}
        for want in wanted:
            blob = self._disk.blob(want.repo, want.file.blob)
            if not blob.exists():
                self._disk.adopt(blobs[want.file.blob], blob)

    def _check_space(self, missing: Iterable[_Want]) -> None:
        needed = sum(
            max(0, want.file.size_bytes - partial_bytes(self._disk.blob(want.repo, want.file.blob)))
            for want in _distinct(missing)
        )
        folder = next(path for path in (self._disk.folder, *self._disk.folder.parents) if path.exists())
        free = shutil.disk_usage(folder).free
        self._watch.summed(needed, free)
        if needed and needed + SPARE_BYTES > free:
            raise PullFailed(
                f"{readable_size(needed)} have to come, and {readable_size(free)} are free on the disk of "
                f"{self._disk.folder} (1 GB stays spare). Make room, or name another folder with "
                "SAFELIGHT_WEIGHTS_DIR."
            )

    def _all(self, wanted: Sequence[_Want]) -> dict[str, str]:
        """Fetch what is missing and check all of it, large files first. Returns SHA-256 by blob."""
        there = [want for want in wanted if self._disk.blob(want.repo, want.file.blob).exists()]
        largest_first = sorted(_distinct([*wanted, *there]), key=lambda want: -want.file.size_bytes)
        pool = ThreadPoolExecutor(AT_ONCE)
        running = {pool.submit(self._one, want): want for want in largest_first}
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException as error:
            self._stop.set()
            # A hub that answers no more would hold up for a minute whoever wants to leave.
            pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
            raise
        pool.shutdown()
        return {want.file.blob: future.result() for future, want in running.items()}

    def _one(self, want: _Want) -> str:
        blob, file = self._disk.blob(want.repo, want.file.blob), want.file
        if blob.exists():
            checked = self._watch.began(want.name, file.size_bytes, 0, checking=True)
            if blob.stat().st_size == file.size_bytes and digest(blob, file, checked) == file.blob:
                self._watch.ended(want.name)
                return file.sha256 or sha256_of(blob)
            blob.unlink()  # what is damaged comes anew
        advance = self._watch.began(want.name, file.size_bytes, partial_bytes(blob), checking=False)
        self._download.fetch(want.repo, want.commit, want.path, file, blob, advance)
        self._watch.ended(want.name)
        return file.sha256 or sha256_of(blob)

    # --- holding it -------------------------------------------------------------------------------------

    def _held(self, wanted: Sequence[_Want], hashes: Mapping[str, str], fresh: bool) -> WeightsDisk:
        lock = self._disk.lock
        for repo, commit in {want.repo: want.commit for want in wanted}.items():
            if fresh or repo not in lock.repos:
                note_branch(self._disk, repo, commit)
        for want in wanted:
            link = self._disk.snapshot(want.repo, want.commit) / want.path
            _link(link, self._disk.blob(want.repo, want.file.blob))
            before = lock.repos.get(want.repo)
            files = before.files if before and before.commit == want.commit else {}
            file = LockedFile(want.file.size_bytes, hashes[want.file.blob], want.file.blob)
            lock = lock.with_repo(want.repo, LockedRepo(BRANCH, want.commit, {**files, want.path: file}))
        return WeightsDisk(self._disk.folder, lock)


def _distinct(wants: Iterable[_Want]) -> list[_Want]:
    """One of all that want the same bytes; the last of them."""
    return list({want.file.blob: want for want in wants}.values())


def _chosen(part: Part, listing: Listing, offline: bool) -> dict[str, ListedFile]:
    """The files of a part. Raises PullFailed where the repository has not what it should have."""
    found = {path: file for path, file in listing.files.items() if part.wants(path)}
    if offline and not found:
        what = part.file or f"{part.folder}/".lstrip("/") or "the files"
        raise PullFailed(f"{what} of {listing.repo} is not here; pull without --offline once.")
    if part.file and len(found) != 1:
        there = (
            ", ".join(path for path in listing.files if path.endswith(".safetensors")) or "no .safetensors"
        )
        raise PullFailed(
            f"{listing.repo} should have one file like {part.file} and has {len(found)}. It holds: {there}. "
            "It has changed; a newer Safelight may know it."
        )
    if not found:
        raise PullFailed(f"{listing.repo} has nothing in its folder {part.folder or '/'}; it has changed.")
    return found


def _by_repo(parts: Sequence[Part]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(part.repo, []).append(part)
    return found


def _size(wants: Iterable[_Want]) -> int:
    return sum({want.file.blob: want.file.size_bytes for want in wants}.values())


def _link(link: Path, blob: Path) -> None:
    """Give a blob its name in a commit, as the hub's client does."""
    if link.is_symlink() and link.resolve() == blob.resolve():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
