"""A submitted request: where it is, what came out, and calling it off."""

from __future__ import annotations

import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.answers import json_answer
from safelight.api.documentation import documented, in_path, in_query
from safelight.api.parameters import flag
from safelight.api.recall import input_of
from safelight.api.services import account, base_url, services
from safelight.api.shapes import Cancellation, RequestStatus, Result
from safelight.api.wire import cancellation, result_of, status_of
from safelight.errors import NotFound
from safelight.texts import Text

router = APIRouter()

_REQUEST_ID = in_path("request_id")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@router.get("/v1/requests/{request_id}/status", **documented(RequestStatus, "requests", _REQUEST_ID))
async def status(request: Request) -> Response:
    """Tell where a request is; poll this until it says `completed` or `cancelled`."""
    request_id = request_id_of(request)
    standing = await services(request).store.standing(request_id, account(request).id)
    if standing is None:
        raise NotFound(UNKNOWN)
    return json_answer(status_of(request_id, standing, base_url(request)))


@router.get(
    "/v1/requests/{request_id}/result",
    **documented(
        Result,
        "requests",
        _REQUEST_ID,
        in_query("include_cost", "boolean"),
        in_query("include_input", "boolean"),
    ),
)
async def result(request: Request) -> Response:
    """Give the output of a request, why it failed, or how far it is."""
    include_cost, include_input = flag(request, "include_cost"), flag(request, "include_input")
    job = await services(request).store.get(request_id_of(request), account(request).id)
    if job is None:
        raise NotFound(UNKNOWN)
    answer = result_of(job, base_url(request), include_cost=include_cost)
    if include_input:
        answer["input"] = await input_of(request, job)
    return json_answer(answer)


@router.post(
    "/v1/requests/{request_id}/cancel",
    **documented(Cancellation, "requests", _REQUEST_ID, in_query("running", "boolean"), status_code=202),
)
async def cancel(request: Request) -> Response:
    """Take a request out of the queue; one in progress runs on, unless `running=true` stops it."""
    store = services(request).store
    end = store.stop if flag(request, "running") else store.cancel
    job = await end(request_id_of(request), account(request).id)
    if job is None:
        raise NotFound(UNKNOWN)
    return json_answer(cancellation(job), 202)


UNKNOWN = Text("There is no such request.", "그런 요청이 없습니다.")
"""For unknown ids and other accounts' alike."""


def request_id_of(request: Request) -> str:
    """The id in a request's path. Raises NotFound for what cannot be one."""
    request_id: str = request.path_params["request_id"]
    if not _ID.fullmatch(request_id):
        raise NotFound(UNKNOWN)
    return request_id
