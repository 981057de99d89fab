"""Styles, scripts and pictures of the pages, from the package alone.

Their addresses carry a digest of all of them, so that browsers may keep them for good and a new version is
seen at once. Modules refer to each other by relative addresses, which stay within one digest.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from safelight.errors import NotFound

FOLDER = Path(__file__).parent / "static"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".png": "image/png",
}
_DIGESTED = re.compile(r"([0-9a-f]{16})/(.+)")


@dataclass(frozen=True)
class StaticFile:
    """A file as it is sent. compressed: its gzip, where that is smaller."""

    content: bytes
    compressed: bytes | None
    content_type: str


async def static_file(request: Request) -> Response:
    """Give a file; under the current digest browsers may keep it for good."""
    path = request.path_params["path"]
    match = _DIGESTED.fullmatch(path)
    name = match[2] if match else path
    found = static_files().get(name)
    if found is None:
        raise NotFound
    is_current = match is not None and match[1] == digest()
    headers = {
        "cache-control": "public, max-age=31536000, immutable" if is_current else "no-cache",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "etag": f'"{digest()}"',
        "vary": "accept-encoding",
    }
    if f'"{digest()}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = found.content
    if found.compressed and "gzip" in request.headers.get("accept-encoding", ""):
        body = found.compressed
        headers["content-encoding"] = "gzip"
    return Response(body, 200, headers, found.content_type)


def static_url(name: str) -> str:
    """The address of a file."""
    return f"/static/{digest()}/{name}"


def picture_name(model_id: str) -> str:
    """Where the example picture of a model is, if it has one."""
    return f"pictures/{model_id.replace('/', '__')}.webp"


def has_static(name: str) -> bool:
    """Whether there is a file of this name."""
    return name in static_files()


@cache
def static_files() -> dict[str, StaticFile]:
    """Every file by its path below the folder."""
    paths = sorted(path for path in FOLDER.rglob("*") if path.suffix in CONTENT_TYPES)
    return {path.relative_to(FOLDER).as_posix(): _read(path) for path in paths}


@cache
def digest() -> str:
    """What tells this set of files from every other."""
    whole = hashlib.sha256()
    for name, file in static_files().items():
        whole.update(f"{name}\0{len(file.content)}\0".encode() + file.content)
    return whole.hexdigest()[:16]


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    kind = CONTENT_TYPES[path.suffix]
    compressed = gzip.compress(content, 6, mtime=0) if path.suffix in {".css", ".js", ".svg"} else content
    return StaticFile(content, compressed if len(compressed) < len(content) else None, kind)
