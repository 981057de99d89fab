"""Figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from safelight.api.services import services

router = APIRouter()


@router.get(
    "/metrics",
    tags=["health"],
    response_class=PlainTextResponse,
    openapi_extra={"security": [{"bearer": []}]},
)
async def metrics(request: Request) -> Response:
    """Give the figures for Prometheus to who has a key of the owner's account."""
    text = await services(request).figures.text()
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})
