"""What a person sees when something goes wrong; programs get the API's own answer."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from safelight.api.answers import DEFAULT_RETRY_AFTER_S, as_ours
from safelight.api.guards import PROTECTED
from safelight.errors import InvalidHeader, Unauthorized
from safelight.web.rendering import render
from safelight.web.visit import visit_of

DESIGNED = {400, 403, 404, 405, 410, 500, 503}
"""The statuses with words of their own; another one borrows those of 400 or 500."""


async def error_page(request: Request, error: Exception) -> Response | None:
    """The page for an error, or the way to the login; None where no browser asked for a page."""
    known = as_ours(error)
    if not _wants_a_page(request) or isinstance(known, InvalidHeader):
        return None
    if isinstance(known, Unauthorized):
        query = urlencode({"next": _address(request)})
        return RedirectResponse(f"/login?{query}", 303, {"cache-control": "no-store"})
    status = known.http_status
    kind = status if status in DESIGNED else 400 if status < 500 else 500
    visit = await visit_of(request)
    response = render(visit, "error.html", status, kind=kind, status=status)
    if status == 503:
        response.headers["retry-after"] = str(known.retry_after_s or DEFAULT_RETRY_AFTER_S)
    return response


def _address(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query and request.method == "GET" else "")


def _wants_a_page(request: Request) -> bool:
    path = request.url.path
    is_api = any(path == prefix or path.startswith(f"{prefix}/") for prefix in PROTECTED)
    return not is_api and "text/html" in request.headers.get("accept", "")
