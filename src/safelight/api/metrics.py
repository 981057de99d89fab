"""Figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.documentation import TEXT, documented
from safelight.api.services import services

router = APIRouter()


@router.get("/metrics", **documented(TEXT, "health"))
async def metrics(request: Request) -> Response:
    """Give the figures for Prometheus to who has a key of the owner's account."""
    text = await services(request).figures.text()
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})
