"""The application: routes, and the layers every request passes."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from safelight import __version__
from safelight.api import account, files, health, models, requests
from safelight.api.answers import ErrorAnswers
from safelight.api.documentation import BEARER
from safelight.api.guards import Guards
from safelight.api.services import Services
from safelight.jobs import Json

DESCRIPTION = "Generate images on your own machine: submit a request, poll its status, fetch its result."


def create_app(services: Services) -> FastAPI:
    """Build the application over services that are already open (`open_services`)."""
    return Api(services)


class Api(FastAPI):
    """Endpoints take a request and return a response: FastAPI documents them, Starlette's router calls them.

    What FastAPI does for each request (dependencies, response models, exit stacks, telemetry) nothing here
    uses, and it takes longer than a status does.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(
            title="Safelight",
            version=__version__,
            description=DESCRIPTION,
            docs_url=None,
            redoc_url=None,
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )
        self.state.services = services
        for module in (requests, models, account, files, health):
            self.router.routes.extend(module.router.routes)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the guards around the endpoints, and the error answers around both."""
        services: Services = self.state.services
        documented = [route for route in self.router.routes if isinstance(route, Route)]
        plain = [Route(route.path, route.endpoint, methods=route.methods) for route in documented]
        router = Router(plain, redirect_slashes=False)
        return ErrorAnswers(Guards(router, services.accounts, services.settings.public_url))

    def openapi(self) -> Json:
        """Describe every route, and the bearer scheme that most of them refer to."""
        document = super().openapi()
        document["components"]["securitySchemes"] = BEARER
        return document
