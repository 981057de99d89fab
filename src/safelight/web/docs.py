"""A model's API documentation, as a page and as Markdown: everything in it follows from the model's file."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from safelight.api.services import base_url, services
from safelight.api.wire import catalogue_entry
from safelight.examples import PATH
from safelight.jobs import Json
from safelight.models.base import Model
from safelight.schema import OUTPUT_SCHEMA
from safelight.web import snippets
from safelight.web.field_rows import FieldRow, field_rows
from safelight.web.first_request import PICTURE, first_request
from safelight.web.rendering import PAGE_HEADERS, render, render_text
from safelight.web.snippets import Snippets
from safelight.web.visit import Visit, visit_of


@dataclass(frozen=True)
class Call:
    """One call of the API: its name, which is also its anchor, and how to make it."""

    name: str
    method: str
    path: str
    snippets: Snippets


@dataclass(frozen=True)
class Documentation:
    """What the page of one model says."""

    model: Json
    run: Snippets
    calls: tuple[Call, ...]
    rows: tuple[FieldRow, ...]
    input_schema: str
    output_schema: str
    base_url: str
    example_url: str


async def page(request: Request) -> Response:
    """The documentation as a page."""
    visit = await visit_of(request)
    # Colouring the snippets takes some tens of milliseconds, the first time even more.
    return await asyncio.to_thread(_page, visit, documentation(visit, _model(request)))


def _page(visit: Visit, told: Documentation) -> Response:
    return render(visit, "docs.html", told=told, model=told.model)


async def markdown(request: Request) -> Response:
    """The same as Markdown, for people who read elsewhere and for programs that read along."""
    visit = await visit_of(request)
    told = documentation(visit, _model(request))
    text = render_text(visit, "docs.md", told=told, model=told.model)
    headers = PAGE_HEADERS | {"content-disposition": "inline"}
    return PlainTextResponse(text, 200, headers, "text/markdown; charset=utf-8")


def documentation(visit: Visit, model: Model) -> Documentation:
    """Gather what there is to tell about a model."""
    base = base_url(visit.request)
    known = services(visit.request)
    weights, price = known.catalogue.weights_of(model), known.price_of(model)
    entry = catalogue_entry(model, price, visit.language, weights, include_schema=True)
    path = f"/v1/models/{quote(model.id)}"
    body = first_request(model, entry["input_schema"], base)
    return Documentation(
        model=entry,
        run=snippets.run(base + path, body),
        calls=(
            Call("submit", "POST", path, snippets.submit(base + path, body)),
            _call("monitor", "GET", "status", base),
            _call("retrieve", "GET", "result", base),
            _call("cancel", "POST", "cancel", base),
        ),
        rows=field_rows(entry["input_schema"]),
        input_schema=_pretty(entry["input_schema"]),
        output_schema=_pretty(OUTPUT_SCHEMA),
        base_url=base,
        example_url=base + PATH + PICTURE,
    )


def _call(name: str, method: str, action: str, base: str) -> Call:
    return Call(name, method, f"/v1/requests/{{request_id}}/{action}", snippets.call(method, base, action))


def _model(request: Request) -> Model:
    return services(request).catalogue.get(request.path_params["model_id"])


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
