"""Stored images by their unguessable id."""

from __future__ import annotations

import asyncio
import os
import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from safelight.api.documentation import IMAGES, documented, in_path
from safelight.api.services import services
from safelight.api.wire import EXTENSIONS
from safelight.errors import Expired, NotFound
from safelight.texts import Text

router = APIRouter()

_NAME = re.compile(r"([A-Za-z0-9_-]{22})\.([a-z]{3,4})")

# An image and nothing else: whatever its bytes are, no browser shall run, frame or reinterpret them.
IMAGE_HEADERS = {
    "cache-control": "private, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
}


@router.get("/files/{name}", **documented(IMAGES, "files", in_path("name"), needs_key=False))
async def file(request: Request) -> Response:
    """Give a stored image; its URL is in a result, and no key is needed."""
    match = _NAME.fullmatch(request.path_params["name"])
    stored = await services(request).store.file(match.group(1)) if match else None
    if not match or stored is None or EXTENSIONS.get(stored.content_type) != match.group(2):
        raise NotFound(_UNKNOWN)
    if stored.removed_at:
        raise Expired
    path = services(request).files.path(stored.id)
    try:
        found = await asyncio.to_thread(os.stat, path)
    except FileNotFoundError:
        raise NotFound(_UNKNOWN) from None
    etag = f'"{stored.id}"'
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={**IMAGE_HEADERS, "etag": etag})
    _ignore_odd_ranges(request)
    return FileResponse(
        path,
        media_type=stored.content_type,
        filename=match.group(0),
        content_disposition_type="inline",
        headers={**IMAGE_HEADERS, "etag": etag},
        stat_result=found,
    )


_UNKNOWN = Text("There is no such file.", "그런 파일이 없습니다.")

_RANGE = re.compile(r"bytes=(?:(\d{1,15})-(\d{0,15})|-\d{1,15})")


def _ignore_odd_ranges(request: Request) -> None:
    """One range is honoured. Many would make us answer at length, and what is malformed RFC 9110 ignores."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if not match or (match[2] and int(match[1]) > int(match[2])):
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
