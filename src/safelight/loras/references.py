"""Where a LoRA may come from, and what is known of one on its way through a job."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from safelight.errors import InvalidInput, PathNotAllowed
from safelight.texts import Text

SUFFIX = ".safetensors"
EXAMPLES_OWNER = "safelight"
KNOWN_CONTROLNETS = frozenset(
    f"alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union{version}" for version in ("", "-2.0", "-2.1")
)
"""ControlNets that requests are known to pass as a LoRA. With nano weights, nano's own takes their place."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HUB = re.compile(rf"(?P<repo>{_NAME}/{_NAME})(?:/(?P<file>(?:{_NAME}/){{0,8}}{_NAME}))?")
_WHAT_WORKS = Text(
    "must be an https:// URL of a .safetensors file, owner/repo or owner/repo/file.safetensors on the hub, "
    f"or {EXAMPLES_OWNER}/NAME for an example that ships with this server",
    ".safetensors 파일의 https:// URL, 허브의 owner/repo 또는 owner/repo/file.safetensors, "
    f"또는 이 서버에 포함된 예제 {EXAMPLES_OWNER}/NAME 중 하나여야 합니다",
)


@dataclass(frozen=True)
class FromUrl:
    """A file at an address, which the fetcher judges."""

    url: str


@dataclass(frozen=True)
class FromHub:
    """A file of a hub repository; which one is found out when `file` is empty."""

    repo: str
    file: str = ""


@dataclass(frozen=True)
class FromFolder:
    """A file in the operator's LoRA folder."""

    path: Path


@dataclass(frozen=True)
class Example:
    """A LoRA that ships with Safelight."""

    name: str


Source = FromUrl | FromHub | FromFolder | Example


def source_of(path: str, lora_dir: Path | None) -> Source:
    """Read the `path` of a LoRA, without looking at any disk or network.

    Raises PathNotAllowed for a local path outside the operator's folder, whether there is a file or not, and
    InvalidInput, saying what works, for what is no path at all.
    """
    if "://" in path:
        return FromUrl(path)
    if path[:1] in {"/", ".", "~", "\\"} or re.match(r"[A-Za-z]:", path):
        return FromFolder(_beneath(path, lora_dir))
    match = _HUB.fullmatch(path)
    if not match or ".." in path or (match["file"] and not match["file"].endswith(SUFFIX)):
        raise InvalidInput(_WHAT_WORKS)
    owner, _, name = match["repo"].partition("/")
    if owner == EXAMPLES_OWNER:
        return Example(name)
    return FromHub(match["repo"], match["file"] or "")


def _beneath(path: str, lora_dir: Path | None) -> Path:
    """The path inside the folder, by its text alone: the disk is asked when the file is opened."""
    if lora_dir is None or path[:1] not in {"/", "."} or "\\" in path or "\0" in path:
        raise PathNotAllowed
    whole = Path(os.path.normpath(lora_dir / path))
    if not whole.is_relative_to(lora_dir) or whole == lora_dir or whole.suffix != SUFFIX:
        raise PathNotAllowed
    return whole


@dataclass(frozen=True)
class LoraFile:
    """A LoRA of a job, checked and on this machine.

    name: its path as the request gave it, without a query. kind: `lora` or `controlnet`. path: of the file;
    empty where the model's own ControlNet takes its place. sha256: of the bytes that were checked.
    """

    name: str
    kind: str
    scale: float
    path: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class LoraUse:
    """What became of a LoRA, for the result.

    matched of expected: how many of the modules that the file changes the model has. substituted: the model's
    own ControlNet took its place.
    """

    path: str
    kind: str
    scale: float
    matched: int
    expected: int
    substituted: bool = False
