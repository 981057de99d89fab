"""The catalogue: every model as a card, with search; it needs no script."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.models import matching
from safelight.api.services import services
from safelight.api.wire import catalogue_entry
from safelight.web.rendering import render
from safelight.web.visit import visit_of


async def catalogue(request: Request) -> Response:
    """Show the models that fit the search, or all of them."""
    visit = await visit_of(request)
    known, price_of = services(request).catalogue, services(request).price_of
    wish = request.query_params
    search, category = wish.get("search", "")[:200], wish.get("category", "")
    cards = [
        catalogue_entry(model, price_of(model), visit.language, known.weights_of(model), include_schema=False)
        for model in matching(known, search, category)
    ]
    cards.sort(key=lambda card: not card["ready"])  # what can be tried now comes first
    categories = sorted({name for model in known.all() for name in model.categories})
    return render(
        visit, "catalogue.html", cards=cards, categories=categories, search=search, category=category
    )
