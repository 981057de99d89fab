"""The playground of one model: the server gives the facts, the browser does the rest (`docs/web.md`)."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.services import base_url, services
from safelight.api.wire import balance_of, catalogue_entry
from safelight.callers import Account
from safelight.jobs import Json
from safelight.models.base import Model
from safelight.web import texts
from safelight.web.first_request import all_requests
from safelight.web.rendering import render
from safelight.web.visit import Visit, visit_of


async def playground(request: Request) -> Response:
    """Show a model's playground."""
    visit = await visit_of(request)
    model = services(request).catalogue.get(request.path_params["model_id"])
    data = playground_data(visit, model)
    return render(visit, "playground.html", model=data["model"], data=data)


def playground_data(visit: Visit, model: Model) -> Json:
    """What the playground's script knows before it asks for anything."""
    weights = services(visit.request).catalogue.weights_of(model)
    return {
        "language": visit.language.value,
        "account": account_facts(visit.account) if visit.account else None,
        "model": catalogue_entry(model, visit.language, weights, include_schema=True),
        "base_url": base_url(visit.request),
        "examples": all_requests(model, base_url(visit.request)),
        "login_url": f"/login?{urlencode({'next': visit.request.url.path})}",
        "profile_url": "/profile",
        "texts": texts.under("playground", visit.language),
    }


def account_facts(account: Account) -> Json:
    """Who is logged in, and what there is to spend."""
    return {"id": account.id, "email": account.email, **balance_of(account)}
