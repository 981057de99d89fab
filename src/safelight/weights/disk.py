"""Where real weights lie on this machine, and what of them is missing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from safelight.models.base import Part
from safelight.settings import Settings
from safelight.weights.lock import Lock, LockedFile, LockedRepo, read_lock

# What differs between copies of one model and changes nothing that is computed.
_NAMES_ONLY = frozenset(
    {"architectures", "_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"}
)


class WeightsDisk:
    """A folder of repositories, and the lock that says which commits of them are held."""

    def __init__(self, folder: Path, lock: Lock | None = None) -> None:
        self.folder = folder
        self.lock = lock or Lock()

    @classmethod
    def of(cls, settings: Settings) -> WeightsDisk:
        """What this installation holds. Raises SettingsError for a damaged lock file."""
        return cls(settings.weights_folder, read_lock(settings.lock_file))

    # --- where ------------------------------------------------------------------------------------------

    def repo_folder(self, repo: str) -> Path:
        """Where everything of a repository is."""
        return self.folder / f"models--{repo.replace('/', '--')}"

    def blob(self, repo: str, name: str) -> Path:
        """Where a file's bytes are, under their hash."""
        return self.repo_folder(repo) / "blobs" / name

    def snapshot(self, repo: str, commit: str) -> Path:
        """The files of a commit under their names: links to blobs."""
        return self.repo_folder(repo) / "snapshots" / commit

    def path(self, part: Part) -> Path:
        """The folder of a part, or its one file. Raises KeyError for a part that is not held."""
        held = self.lock.repos[part.repo]
        root = self.snapshot(part.repo, held.commit)
        if part.file:
            return root / next(name for name in held.files if part.wants(name))
        return root / part.folder

    def adopt(self, file: Path, blob: Path) -> None:
        """Make a file that is here the bytes of a blob too, without a second copy of them."""
        if not blob.exists():
            blob.parent.mkdir(parents=True, exist_ok=True)
            os.link(file.resolve(), blob)

    # --- what -------------------------------------------------------------------------------------------

    def files(self, part: Part) -> Mapping[str, LockedFile]:
        """The files of a part that are held, by their path in the repository."""
        held = self.lock.repos.get(part.repo)
        if held is None:
            return {}
        return {name: file for name, file in held.files.items() if part.wants(name)}

    def has(self, part: Part) -> bool:
        """Whether a part is here as a whole: its files are held, there, and of the right size."""
        held, files = self.lock.repos.get(part.repo), self.files(part)
        return held is not None and bool(files) and all(self._is_there(part.repo, held, n) for n in files)

    def size_bytes(self, parts: Iterable[Part]) -> int:
        """What the files of some parts take up on the disk, each once."""
        found = {(part.repo, name): file for part in parts for name, file in self.files(part).items()}
        return sum(file.size_bytes for file in found.values())

    def fingerprint(self, part: Part) -> str:
        """A hash that copies of the same weights share, whichever repository they come from."""
        files = self.files(part)
        weights = sorted(file.sha256 for name, file in files.items() if name.endswith(".safetensors"))
        if not weights:
            weights = sorted(file.sha256 for file in files.values())
        return hashlib.sha256(json.dumps([weights, self._config(part)]).encode()).hexdigest()

    def _config(self, part: Part) -> object:
        path = self.path(part) / "config.json"
        if part.file or not path.is_file():
            return None
        config = json.loads(path.read_text())
        return sorted((name, value) for name, value in config.items() if name not in _NAMES_ONLY)

    def _is_there(self, repo: str, held: LockedRepo, name: str) -> bool:
        try:
            found = os.stat(self.snapshot(repo, held.commit) / name).st_size
        except OSError:
            return False
        return found == held.files[name].size_bytes
