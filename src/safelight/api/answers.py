"""Answers: JSON bytes with fixed headers, and every error in one shape."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from safelight.api.services import language
from safelight.api.wire import error_body, to_bytes
from safelight.errors import (
    GenerationFailed,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    SafelightError,
    Unauthorized,
)
from safelight.texts import Language, Text

log = structlog.get_logger()

DEFAULT_RETRY_AFTER_S = 5

_HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class JsonBytes(Response):
    """An answer whose JSON text is ready. Skips what Response does for bodies and headers of any kind."""

    def __init__(self, body: bytes, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status_code
        self.body = body
        self.raw_headers = [(b"content-length", str(len(body)).encode()), *_HEADERS]
        if headers:
            self.raw_headers += [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, with the headers on limits that the request has met."""
        headers = self.raw_headers + scope.get("limit_headers", [])
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_answer(
    content: object, status_code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer with this content."""
    return JsonBytes(to_bytes(content), status_code, headers)


ErrorPage = Callable[[Request, Exception], Awaitable[Response | None]]


class ErrorAnswers:
    """The outermost layer: whatever goes wrong inside becomes one error body, and nothing passes it.

    An unexpected exception answers 500 without details. Its message may hold what a caller sent, so the log
    gets its type and where it came from only.
    """

    def __init__(self, app: ASGIApp, error_page: ErrorPage | None = None) -> None:
        """error_page: what answers instead where a person asked, if it knows a page."""
        self.app = app
        self.error_page = error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and answer for its exceptions."""
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:
            if isinstance(error, HTTPException) and error.status_code == 405:
                error = HTTPException(405, headers={"allow": ", ".join(_allowed_methods(scope))})
            page = await self.error_page(Request(scope), error) if self.error_page else None
            answer = page or error_answer(
                error, language(Request(scope)), for_openai=scope.get("path", "").startswith(OPENAI)
            )
            if answer.status_code == 500 and not isinstance(error, GenerationFailed):
                _log_unexpected(scope, error)
            if "answering" in scope:
                # Too late for another answer: let the server cut the connection.
                raise ConnectionAbortedError from None
            await answer(scope, receive, send)


OPENAI = "/v1/images/"
"""Where the OpenAI images API is spoken."""


def error_answer(error: Exception, chosen: Language, *, for_openai: bool = False) -> Response:
    """The error body and status for an exception, in the language that was asked for."""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    known = as_ours(error)
    if isinstance(known, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    if known.http_status in (429, 503, 507):
        headers["retry-after"] = str(known.retry_after_s or DEFAULT_RETRY_AFTER_S)
    return JsonBytes(error_body(known, chosen, for_openai=for_openai), known.http_status, headers)


def as_ours(error: Exception) -> SafelightError:
    """What went wrong in our own words: an unexpected exception's may hold what a caller sent."""
    if isinstance(error, GenerationFailed):
        return error  # its message is a result's
    if isinstance(error, SafelightError) and error.http_status != 500:
        return error
    if isinstance(error, HTTPException):
        return _ROUTERS_OWN.get(error.status_code, InvalidInput)()
    return SafelightError(_UNEXPECTED)


_UNEXPECTED = Text(
    "Something went wrong here; the server's log has the details.",
    "서버에서 문제가 발생했습니다. 자세한 내용은 서버 로그에 있습니다.",
)
_ROUTERS_OWN = {404: NotFound, 405: MethodNotAllowed}


def _allowed_methods(scope: Scope) -> list[str]:
    """What this path answers to: the router names the methods of the first route that fits only."""
    routes = [route for route in scope["router"].routes if route.matches(scope)[0] is not Match.NONE]
    return sorted({method for route in routes for method in route.methods})


def _log_unexpected(scope: Scope, error: Exception) -> None:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    log.error(
        "unexpected_error",
        endpoint=getattr(scope.get("endpoint"), "__name__", None),
        method=scope.get("method"),
        error=type(error).__name__,
        at=[f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames],
    )
