"""The application: routes, and the layers every request passes."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from safelight import __version__
from safelight.api import account, files, health, models, requests
from safelight.api.answers import ErrorAnswers, error_answer
from safelight.api.documentation import add_security
from safelight.api.guards import Authentication, HeaderBounds, KnownHost
from safelight.api.routing import with_head
from safelight.api.services import Services

DESCRIPTION = "Generate images on your own machine: submit a request, poll its status, fetch its result."


def create_app(services: Services) -> FastAPI:
    """Build the application over services that are already open (`open_services`)."""
    app = FastAPI(
        title="Safelight",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _on_error, RequestValidationError: _on_error},
    )
    app.state.services = services
    # The last one added is the outermost.
    app.add_middleware(Authentication, accounts=services.accounts)
    app.add_middleware(KnownHost, public_url=services.settings.public_url)
    app.add_middleware(HeaderBounds)
    app.add_middleware(ErrorAnswers)
    # Extended and not included: a router that is included costs every request a second round of matching.
    for module in (requests, models, account, files, health):
        app.router.routes.extend(with_head(module.router.routes))
    add_security(app)
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        error = HTTPException(405, headers={"allow": ", ".join(_allowed_methods(request))})
    return error_answer(error)


def _allowed_methods(request: Request) -> list[str]:
    """What this path answers to: the framework names the methods of its first route only."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in routes for method in route.methods})
