"""The catalogue, and submitting to a model of it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.answers import json_answer
from safelight.api.body import read_json_body
from safelight.api.documentation import BODY, LANG, documented, in_path, in_query
from safelight.api.parameters import flag, whole_number
from safelight.api.services import account, base_url, language, request_base_url, services
from safelight.api.shapes import CataloguePage, Categories, Entry, Submitted
from safelight.api.submission import Submission
from safelight.api.wire import catalogue_entry, catalogue_page, submitted
from safelight.models import Catalogue
from safelight.models.base import Model

router = APIRouter()

MAX_OFFSET = 10**9

_MODEL_ID = in_path("model_id")
_FILTERS = (
    in_query("search", "string"),
    in_query("category", "string"),
    in_query("kind", "string"),
    in_query("include_schema", "boolean"),
    in_query("limit", "integer"),
    in_query("offset", "integer"),
)


@router.post("/v1/models/{model_id:path}", **documented(Submitted, "models", _MODEL_ID, body=BODY))
async def submit(request: Request) -> Response:
    """Submit a request; the body is the model's input itself."""
    known = services(request)
    model = known.catalogue.get(request.path_params["model_id"])
    body = await read_json_body(request)
    base = base_url(request)
    own_addresses = (base, request_base_url(request))
    submission = Submission(known, account(request), model, language(request), own_addresses)
    job = await submission.accept(body)
    return json_answer(submitted(job, base))


@router.get("/v1/models", **documented(CataloguePage, "models", *_FILTERS, LANG))
async def catalogue(request: Request) -> Response:
    """List the models."""
    include_schema = flag(request, "include_schema")
    limit = whole_number(request, "limit", 20, 1, 100)
    offset = whole_number(request, "offset", 0, 0, MAX_OFFSET)
    known = services(request).catalogue
    wish = request.query_params
    is_kind_served = wish.get("kind", "") in ("", "model")
    found = matching(known, wish.get("search", ""), wish.get("category", "")) if is_kind_served else []
    page = found[offset : offset + limit]
    chosen = language(request)
    entries = [
        catalogue_entry(model, chosen, known.weights_of(model), include_schema=include_schema)
        for model in page
    ]
    return json_answer(catalogue_page(entries, len(found)))


@router.get("/v1/models/categories", **documented(Categories, "models"))
async def categories(request: Request) -> Response:
    """List the categories that models are in."""
    names = {name for model in services(request).catalogue.all() for name in model.categories}
    return json_answer({"categories": sorted(names)})


@router.get("/v1/models/{model_id:path}", **documented(Entry, "models", _MODEL_ID, LANG))
async def one_model(request: Request) -> Response:
    """Show one model with its schemas."""
    known = services(request).catalogue
    model = known.get(request.path_params["model_id"])
    entry = catalogue_entry(model, language(request), known.weights_of(model), include_schema=True)
    return json_answer(entry)


def matching(known: Catalogue, search: str, category: str) -> list[Model]:
    """The models whose name, id or description has these words in it; empty texts fit every one."""
    words = search.casefold()
    return [
        model
        for model in known.all()
        if any(words in text.casefold() for text in _about(model)) and category in ("", *model.categories)
    ]


def _about(model: Model) -> tuple[str, ...]:
    return model.id, model.display_name, model.description.en, model.description.ko
