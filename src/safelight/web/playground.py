"""The playground of one model: the server gives the facts, the browser does the rest (`docs/web.md`)."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.services import base_url, services
from safelight.api.wire import balance_of, catalogue_entry
from safelight.callers import Account
from safelight.credits.ledger import Balance
from safelight.inputs import image_fields
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
    account = visit.account
    balance = await services(request).ledger.balance(account.id) if account else None
    data = playground_data(visit, model, balance)
    return render(visit, "playground.html", model=data["model"], data=data)


def playground_data(visit: Visit, model: Model, balance: Balance | None) -> Json:
    """What the playground's script knows before it asks for anything. balance: of who is logged in."""
    known = services(visit.request).catalogue
    weights, price = known.weights_of(model), services(visit.request).price_of(model)
    return {
        "language": visit.language.value,
        "account": account_facts(visit.account, balance) if visit.account and balance else None,
        "model": catalogue_entry(model, price, visit.language, weights, include_schema=True),
        "image_fields": image_kinds(model),
        "takers": [
            {"model_id": other.id, "display_name": other.display_name}
            for other in known.all()
            if other.id != model.id and known.weights_of(other) and "image" in image_kinds(other).values()
        ],
        "base_url": base_url(visit.request),
        "examples": all_requests(model, base_url(visit.request)),
        "login_url": f"/login?{urlencode({'next': visit.request.url.path})}",
        "profile_url": "/profile",
        "texts": texts.under("playground", visit.language),
    }


def image_kinds(model: Model) -> dict[str, str]:
    """Which fields hold an image, and which of them a mask: one where what is not painted counts as black."""
    fields = image_fields(model.Input)
    return {name: "mask" if mark.backdrop == "black" else "image" for name, mark in fields.items()}


def account_facts(account: Account, balance: Balance) -> Json:
    """Who is logged in, and what there is to spend."""
    return {"id": account.id, "email": account.email, **balance_of(account, balance)}
