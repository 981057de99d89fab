"""The catalogue, and submitting to a model of it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.answers import json_answer
from safelight.api.body import read_json_body
from safelight.api.documentation import BODY, LANG, documented, in_header, in_path, in_query
from safelight.api.following import ended_within
from safelight.api.parameters import flag, whole_number
from safelight.api.services import base_url, caller, count_submission, language, request_base_url, services
from safelight.api.shapes import CataloguePage, Categories, Entry, Quoted, Result, Submitted
from safelight.api.submission import Submission
from safelight.api.webhooks import PARAMETERS, webhook_of
from safelight.api.wire import catalogue_entry, catalogue_page, quote_of, result_of, submitted
from safelight.api.wishes import wishes_of
from safelight.jobs import Json
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


@router.post("/v1/models/{model_id:path}/quote", **documented(Quoted, "models", _MODEL_ID, body=BODY))
async def quote(request: Request) -> Response:
    """Tell what exactly this body would cost, and what there is; nothing is submitted."""
    account = caller(request).account
    found = await _submission(request).quote(await read_json_body(request))
    return json_answer(quote_of(found, account, await services(request).ledger.balance(account.id)))


_WISHES = (
    in_header("Idempotency-Key", "Who sends the same body again under the same key gets the first answer."),
    in_header("Cancel-After", "`90s`: a request that is not finished by then is cancelled and not charged."),
    in_header("Prefer", "`wait=N` waits up to N seconds (1–60) and then answers with the result record."),
)


@router.post(
    "/v1/models/{model_id:path}",
    **documented(Submitted | Result, "models", _MODEL_ID, *_WISHES, *PARAMETERS, LANG, body=BODY),
)
async def submit(request: Request) -> Response:
    """Submit a request; the body is the model's input itself."""
    submission, base = _submission(request), base_url(request)
    count_submission(request)
    job = await submission.accept(await read_json_body(request))
    wait_s = submission.wishes.wait_s
    if wait_s:
        ended = await ended_within(request, job, wait_s)
        answer = result_of(ended, base, include_cost=False) if ended else submitted(job, base)
        return json_answer(answer, headers={"preference-applied": f"wait={wait_s}"})
    return json_answer(submitted(job, base))


def _submission(request: Request) -> Submission:
    known = services(request)
    model = known.catalogue.get(request.path_params["model_id"])
    return Submission(
        known,
        caller(request),
        model,
        language(request),
        (base_url(request), request_base_url(request)),
        wishes=wishes_of(request),
        webhook=webhook_of(request),
    )


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
    entries = [_entry(request, model, include_schema=include_schema) for model in page]
    return json_answer(catalogue_page(entries, len(found)))


@router.get("/v1/models/categories", **documented(Categories, "models"))
async def categories(request: Request) -> Response:
    """List the categories that models are in."""
    names = {name for model in services(request).catalogue.all() for name in model.categories}
    return json_answer({"categories": sorted(names)})


@router.get("/v1/models/{model_id:path}", **documented(Entry, "models", _MODEL_ID, LANG))
async def one_model(request: Request) -> Response:
    """Show one model with its schemas."""
    model = services(request).catalogue.get(request.path_params["model_id"])
    return json_answer(_entry(request, model, include_schema=True))


def _entry(request: Request, model: Model, *, include_schema: bool) -> Json:
    known = services(request)
    weights = known.catalogue.weights_of(model)
    return catalogue_entry(
        model, known.price_of(model), language(request), weights, include_schema=include_schema
    )


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
