"""The caller's own account: who it is and what it may spend."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.answers import json_answer
from safelight.api.documentation import documented
from safelight.api.services import account, caller
from safelight.api.shapes import Balance, Me
from safelight.api.wire import balance_of, identity_of

router = APIRouter()


@router.get("/v1/balance", **documented(Balance, "account"))
@router.get("/prod/v2/balance", **documented(Balance, "account"))
async def balance(request: Request) -> Response:
    """Tell the balance in US dollars."""
    return json_answer(balance_of(account(request)))


@router.get("/api/auth/me", **documented(Me, "account"))
async def me(request: Request) -> Response:
    """Tell whose key this is, or whose session."""
    return json_answer(identity_of(caller(request)))
