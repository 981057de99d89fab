"""What `safelight login` keeps on this machine: one server and the key to it, for this user alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safelight.files.files import disk_errors, write_durably


@dataclass(frozen=True)
class Login:
    """A server and the key to it."""

    base_url: str
    api_key: str


def save_login(path: Path, login: Login) -> None:
    """Keep it in a file that only this user may read (mode 0600)."""
    with disk_errors():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, json.dumps(vars(login)).encode())


def saved_login(path: Path) -> Login | None:
    """What was kept; None: nothing that can be read."""
    try:
        kept = json.loads(path.read_text())
        return Login(str(kept["base_url"]), str(kept["api_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
