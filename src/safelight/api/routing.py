"""How endpoints are registered: a plain function from request to response, without the framework's machinery.

FastAPI gives routers and the OpenAPI document. Its per-request part (dependencies, response models) costs
four times what our endpoints need, so `LeanRoute` leaves it out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, request_response

Endpoint = Callable[[Request], Awaitable[Response]]


class LeanRoute(APIRoute):
    """A documented route whose endpoint takes the request and returns the response itself."""

    def __init__(self, path: str, endpoint: Endpoint, **documentation: Any) -> None:
        super().__init__(path, endpoint, **documentation)
        self.app = request_response(endpoint)


def new_router() -> APIRouter:
    """A router of lean routes."""
    return APIRouter(route_class=LeanRoute)


def with_head(routes: list[BaseRoute]) -> list[BaseRoute]:
    """These routes, with a HEAD route for each GET."""
    heads = [
        Route(route.path, route.endpoint, methods=["HEAD"])
        for route in routes
        if isinstance(route, LeanRoute) and "GET" in (route.methods or ())
    ]
    return [*routes, *heads]
