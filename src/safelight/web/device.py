"""Approving the login of a device: it shows a code and a link to this page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.services import services
from safelight.callers import Scope
from safelight.errors import NotFound
from safelight.web.forms import read_form
from safelight.web.rendering import render
from safelight.web.visit import own_visit

MAX_CODE = 40


async def device(request: Request) -> Response:
    """Ask whether the device that shows this code may have a key."""
    visit, _ = await own_visit(request, Scope.ADMIN)
    code = request.query_params.get("code", "")[:MAX_CODE]
    return render(visit, "device.html", code_shown=code, outcome=None, problem=None)


async def decide(request: Request) -> Response:
    """Let the device in, or not."""
    visit, account = await own_visit(request, Scope.ADMIN)
    form = await read_form(request)
    code, approved = form.first("code")[:MAX_CODE], form.first("decision") == "approve"
    try:
        await services(request).device_logins.decide(code, account.id, approved=approved)
    except NotFound:
        return render(visit, "device.html", 404, code_shown=code, outcome=None, problem="device.unknown")
    outcome = "device.approved" if approved else "device.denied"
    return render(visit, "device.html", code_shown=code, outcome=outcome, problem=None)
