"""The lock file: which commit of each repository is held, and the hash of every file that was pulled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config

from safelight.errors import SettingsError
from safelight.files.files import sync_folder, write_durably

VERSION = 1

_strict = with_config(ConfigDict(extra="forbid"))

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


def _inside(path: str) -> str:
    if not path or "\\" in path or "\0" in path or {"", ".", ".."} & set(path.split("/")):
        raise ValueError("leads out of its repository")
    return path


FilePath = Annotated[str, AfterValidator(_inside)]
"""A path inside a repository: it leads nowhere else."""
RepoName = Annotated[str, Field(pattern=r"^[\w.-]{1,96}/[\w.-]{1,96}$")]


@_strict
@dataclass(frozen=True)
class LockedFile:
    """One file: its size, its SHA-256, and the name of its blob (the hub's own hash of it)."""

    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256
    blob: Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]


@_strict
@dataclass(frozen=True)
class LockedRepo:
    """What is held of one repository: the commit that `revision` meant, and the files pulled of it."""

    revision: str
    commit: Commit
    files: Mapping[FilePath, LockedFile]


@_strict
@dataclass(frozen=True)
class Lock:
    """Everything that is held, by repository."""

    repos: Mapping[RepoName, LockedRepo] = field(default_factory=dict)
    version: int = VERSION

    def with_repo(self, name: str, repo: LockedRepo) -> Lock:
        """This lock with another state of one repository."""
        return Lock({**self.repos, name: repo})

    def without_repo(self, name: str) -> Lock:
        """This lock without a repository."""
        return Lock({other: repo for other, repo in self.repos.items() if other != name})


_LOCK: TypeAdapter[Lock] = TypeAdapter(Lock)


def read_lock(path: Path) -> Lock:
    """The lock in a file; an empty one where there is none. Raises SettingsError for a damaged one."""
    if not path.is_file():
        return Lock()
    try:
        lock = _LOCK.validate_json(path.read_bytes())
    except (ValidationError, OSError):
        raise SettingsError(f"{path} is damaged; delete it and pull the models again") from None
    if lock.version != VERSION:
        raise SettingsError(f"{path} was written by another version of Safelight; pull the models again")
    return lock


def write_lock(path: Path, lock: Lock) -> None:
    """Replace the lock file, all or nothing."""
    partial = path.with_name(f"{path.name}.new")
    write_durably(partial, json.dumps(asdict(lock), indent=1, sort_keys=True).encode() + b"\n")
    partial.replace(path)
    sync_folder(path.parent)
