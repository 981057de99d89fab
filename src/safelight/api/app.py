"""The application: routes, and the layers every request passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from safelight import __version__
from safelight.api import (
    account,
    admin,
    device_login,
    events,
    examples,
    files,
    health,
    history,
    keys,
    metrics,
    models,
    openai,
    requests,
    uploads,
    webhooks,
)
from safelight.api.answers import ErrorAnswers
from safelight.api.guards import Guards
from safelight.api.openapi import complete
from safelight.api.services import Services
from safelight.jobs import Json

DESCRIPTION = "Generate images on your own machine: submit a request, poll its status, fetch its result."


class Pages(Protocol):
    """What people see in a browser, beside the API."""

    @property
    def routes(self) -> Sequence[Route]:
        """The pages."""
        ...

    async def error_page(self, request: Request, error: Exception) -> Response | None:
        """The page for what went wrong; None where a program asked, which gets the API's own answer."""
        ...


def create_app(services: Services, pages: Pages | None = None) -> FastAPI:
    """Build the application over services that are already open (`open_services`)."""
    return Api(services, pages)


class Api(FastAPI):
    """Endpoints take a request and return a response: FastAPI documents them, Starlette's router calls them.

    What FastAPI does for each request (dependencies, response models, exit stacks, telemetry) nothing here
    uses, and it takes longer than a status does.
    """

    def __init__(self, services: Services, pages: Pages | None) -> None:
        super().__init__(
            title="Safelight",
            version=__version__,
            description=DESCRIPTION,
            docs_url=None,
            redoc_url=None,
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )
        self.services = services
        documents = self.router.routes
        modules = (
            requests,
            models,
            account,
            device_login,
            events,
            files,
            history,
            uploads,
            webhooks,
            examples,
            openai,
            keys,
            admin,
            health,
            metrics,
        )
        self.router.routes = [route for module in modules for route in module.router.routes]
        self.router.routes += documents  # What is asked for least comes last.
        documented = [route for route in self.router.routes if isinstance(route, Route)]
        shown = [*documented, *(pages.routes if pages else ())]
        plain = [Route(route.path, _Plain(route.endpoint), methods=route.methods) for route in shown]
        guarded = Guards(
            Router(plain, redirect_slashes=False),
            services.keys,
            services.sessions,
            services.settings.public_url,
        )
        self.entrance = ErrorAnswers(guarded, pages.error_page if pages else None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        scope["app"] = self
        await self.entrance(scope, receive, send)

    def openapi(self) -> Json:
        """Describe every route and every model."""
        return complete(super().openapi(), self.services.catalogue.all())


class _Plain:
    """An endpoint, called for each request that reaches it and nothing else."""

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self.endpoint = endpoint
        self.__name__ = endpoint.__name__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.endpoint(Request(scope, receive))
        scope["answering"] = True
        await response(scope, receive, send)
