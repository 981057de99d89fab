"""What an account has submitted: list it, and erase it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.answers import json_answer
from safelight.api.documentation import documented, in_path, in_query
from safelight.api.paging import page_of
from safelight.api.parameters import cursor, flag, one_of, whole_number
from safelight.api.requests import UNKNOWN, request_id_of
from safelight.api.services import account, base_url, services
from safelight.api.shapes import Deleted, RequestList
from safelight.api.wire import STATUSES, result_of
from safelight.errors import InvalidInput, NotFound
from safelight.texts import Text

router = APIRouter()

MAX_PAGE = 100

_FILTERS = (
    in_query("status", "string"),
    in_query("model_id", "string"),
    in_query("limit", "integer"),
    in_query("cursor", "string"),
    in_query("include_cost", "boolean"),
)


@router.get("/v1/requests", **documented(RequestList, "requests", *_FILTERS))
async def history(request: Request) -> Response:
    """List the account's requests, the newest first."""
    limit = whole_number(request, "limit", 20, 1, MAX_PAGE)
    status = one_of(request, "status", STATUSES)
    found = await services(request).store.history(
        account(request).id,
        limit + 1,
        before=cursor(request),
        statuses=STATUSES[status] if status else (),
        model_id=request.query_params.get("model_id"),
    )
    page, next_cursor = page_of(found, limit)
    base, include_cost = base_url(request), flag(request, "include_cost")
    listed = [result_of(job, base, include_cost=include_cost) for job in page]
    return json_answer({"requests": listed, "next_cursor": next_cursor})


@router.delete("/v1/requests/{request_id}", **documented(Deleted, "requests", in_path("request_id")))
async def erase(request: Request) -> Response:
    """Erase a request that has ended: its input, its outputs, and what is known of how they came about."""
    known, owner, request_id = services(request), account(request), request_id_of(request)
    file_ids = await known.store.erase(request_id, owner.id)
    if file_ids is None:
        if await known.store.standing(request_id, owner.id) is None:
            raise NotFound(UNKNOWN)
        raise InvalidInput(_UNFINISHED)
    for file_id in file_ids:
        await known.files.delete(file_id)
    return json_answer({"id": request_id, "deleted": True})


_UNFINISHED = Text(
    "The request has not ended; cancel it first (POST …/cancel?running=true).",
    "요청이 아직 끝나지 않았습니다. 먼저 취소해 주세요(POST …/cancel?running=true).",
)
