"""An account's own files: upload, list and delete them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.answers import json_answer
from safelight.api.body import read_bytes
from safelight.api.documentation import documented, in_path, in_query
from safelight.api.paging import page_of
from safelight.api.parameters import cursor, whole_number
from safelight.api.services import account, base_url, services
from safelight.api.shapes import Deleted, Upload, UploadList
from safelight.api.submission import RESERVED_BYTES
from safelight.api.wire import file_url, timestamp
from safelight.callers import Account
from safelight.db.clock import expiry
from safelight.errors import NotFound, StorageFull, UnsupportedImage, UnsupportedMediaType
from safelight.images.codec import MAX_IMAGE_BYTES, content_type, identify
from safelight.jobs import Json, new_id
from safelight.queue.store import StoredFile
from safelight.settings import Settings
from safelight.texts import Text

router = APIRouter()

MAX_PAGE = 100
_MAX_MB = MAX_IMAGE_BYTES // 10**6
_IMAGE_TYPE = re.compile(r"image/(png|jpeg|jpg|webp)\s*(;.*)?", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_BODY = {
    "required": True,
    "content": {
        f"image/{kind}": {"schema": {"type": "string", "format": "binary"}}
        for kind in ("png", "jpeg", "webp")
    },
}


@router.post("/v1/files", **documented(Upload, "files", body=_BODY))
async def upload(request: Request) -> Response:
    """Store an image: the body is its bytes, with its content type. Its URL goes into any image field."""
    if not _IMAGE_TYPE.fullmatch(request.headers.get("content-type", "")):
        raise UnsupportedMediaType(_NO_IMAGE)
    data = await read_bytes(request, MAX_IMAGE_BYTES, _TOO_LARGE)
    try:
        kind = content_type(identify(data))
    except UnsupportedImage:
        raise UnsupportedMediaType(_NO_IMAGE) from None
    known, owner = services(request), account(request)
    if known.files.free_bytes() - len(data) < RESERVED_BYTES:
        raise StorageFull
    until = expiry(known.settings.keeps_for)
    file = StoredFile(new_id(), owner.id, kind, len(data), datetime.now(UTC), None, expires_at=until)
    await known.files.put(file.id, data)
    if not await known.records.upload(file, _quota_bytes(owner, known.settings)):
        await known.files.delete(file.id)
        raise StorageFull(_over_quota(known.settings))
    return json_answer(_shown(file, base_url(request)))


@router.get(
    "/v1/files", **documented(UploadList, "files", in_query("limit", "integer"), in_query("cursor", "string"))
)
async def uploads(request: Request) -> Response:
    """List the account's uploads, the newest first."""
    limit = whole_number(request, "limit", 20, 1, MAX_PAGE)
    found = await services(request).records.uploads(account(request).id, limit + 1, cursor(request))
    page, next_cursor = page_of(found, limit)
    base = base_url(request)
    return json_answer({"files": [_shown(file, base) for file in page], "next_cursor": next_cursor})


@router.delete("/v1/files/{file_id}", **documented(Deleted, "files", in_path("file_id")))
async def delete(request: Request) -> Response:
    """Delete a file of the account: an upload, or an input or output of a request."""
    file_id = request.path_params["file_id"]
    known = services(request)
    if not _ID.fullmatch(file_id) or not await known.records.remove(file_id, account(request).id):
        raise NotFound(_UNKNOWN)
    await known.files.delete(file_id)
    return json_answer({"id": file_id, "deleted": True})


def _shown(file: StoredFile, base: str) -> Json:
    return {
        "id": file.id,
        "url": file_url(file.id, file.content_type, base),
        "content_type": file.content_type,
        "size_bytes": file.size_bytes,
        "created_at": timestamp(file.created_at),
        "expires_at": timestamp(file.expires_at) if file.expires_at else None,
    }


def _quota_bytes(owner: Account, settings: Settings) -> int | None:
    return None if owner.unmetered else settings.upload_quota_mb * 10**6


def _over_quota(settings: Settings) -> Text:
    most = settings.upload_quota_mb
    return Text(
        f"Your uploads may take up {most} MB together; delete some (DELETE /v1/files/ID) or wait until they "
        "expire.",
        f"업로드한 파일은 모두 합쳐 {most}MB까지 보관할 수 있습니다. 일부를 삭제하거나(DELETE /v1/files/ID) "
        "만료될 때까지 기다려 주세요.",
    )


_UNKNOWN = Text("There is no such file.", "그런 파일이 없습니다.")
_NO_IMAGE = Text(
    "Send a PNG, JPEG or WebP image as the body, with its content type, such as image/png.",
    "PNG, JPEG 또는 WebP 이미지를 본문으로, image/png와 같은 콘텐츠 유형과 함께 보내 주세요.",
)
_TOO_LARGE = Text(f"The file is over {_MAX_MB} MB.", f"파일이 {_MAX_MB}MB를 넘습니다.")
