"""The caller's own account: who it is, what it may spend and what it has spent."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.account_shapes import LedgerPage, UsageReport
from safelight.api.account_wire import ledger_page, usage_shown
from safelight.api.answers import json_answer
from safelight.api.documentation import documented, in_query
from safelight.api.parameters import day, whole_number
from safelight.api.services import account, caller, services
from safelight.api.shapes import Balance, Me
from safelight.api.wire import balance_of, identity_of
from safelight.jobs import Json

router = APIRouter()

MAX_SEQ = 10**18 - 1

PAGE = (in_query("limit", "integer"), in_query("cursor", "integer"))
DAYS = (in_query("from", "string"), in_query("to", "string"))


@router.get("/v1/balance", **documented(Balance, "account"))
@router.get("/prod/v2/balance", **documented(Balance, "account"))
async def balance(request: Request) -> Response:
    """Tell the balance in US dollars."""
    mine = account(request)
    return json_answer(balance_of(mine, await services(request).ledger.balance(mine.id)))


@router.get("/v1/ledger", **documented(LedgerPage, "account", *PAGE))
async def ledger(request: Request) -> Response:
    """List what has happened to the balance, the newest first."""
    return await ledger_of(request, account(request).id)


@router.get("/v1/usage", **documented(UsageReport, "account", *DAYS))
async def usage(request: Request) -> Response:
    """Tell what was used on each day (UTC), by key and model; the last 30 days, or from `from` to `to`."""
    return json_answer(await usage_of(request, account(request).id))


@router.get("/api/auth/me", **documented(Me, "account"))
async def me(request: Request) -> Response:
    """Tell whose key this is, or whose session."""
    return json_answer(identity_of(caller(request)))


async def usage_of(request: Request, account_id: str) -> Json:
    """What an account used in the days that the request names."""
    return usage_shown(await services(request).usage.of(account_id, day(request, "from"), day(request, "to")))


async def ledger_of(request: Request, account_id: str) -> Response:
    """A page of an account's ledger."""
    limit = whole_number(request, "limit", 50, 1, 500)
    before = whole_number(request, "cursor", MAX_SEQ, 1, MAX_SEQ)
    entries = await services(request).ledger.entries(account_id, limit, before)
    return json_answer(ledger_page(entries, limit))
