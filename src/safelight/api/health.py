"""Whether the process lives, and whether it can take requests."""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.answers import json_answer
from safelight.api.documentation import documented
from safelight.api.services import services
from safelight.api.shapes import Health
from safelight.errors import Unavailable

router = APIRouter()


@router.get("/healthz", **documented(Health, "health", needs_key=False))
async def healthz(request: Request) -> Response:
    """Say that the process answers."""
    return json_answer({"status": "ok"})


@router.get("/readyz", **documented(Health, "health", needs_key=False))
async def readyz(request: Request) -> Response:
    """Say that the database answers and that new work is taken; 503 when not."""
    if services(request).stopping.is_set():
        raise Unavailable
    await services(request).database.read(lambda connection: connection.execute(sa.select(1)).scalar())
    return json_answer({"status": "ready"})
