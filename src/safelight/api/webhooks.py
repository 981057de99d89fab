"""Webhooks: the secret that signs them, the log of their deliveries, and delivering again."""

from __future__ import annotations

import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.answers import json_answer
from safelight.api.documentation import documented, in_path, in_query
from safelight.api.paging import page_of
from safelight.api.parameters import cursor, flag, refusal, whole_number
from safelight.api.services import account, base_url, services
from safelight.api.shapes import Delivery, DeliveryList, WebhookSecret
from safelight.api.wire import delivery_of, timestamp
from safelight.errors import NotFound, UrlNotAllowed
from safelight.queue.store import Webhook
from safelight.queue.webhooks import Secret
from safelight.texts import Text

router = APIRouter()

MAX_PAGE = 100
MAX_URL_CHARACTERS = 2048

_EVENT_ID = in_path("event_id")
_ID = re.compile(r"[0-9a-f]{32}")

PARAMETERS = (in_query("webhook", "string"), in_query("webhook_intermediate_status", "boolean"))
"""Of a submission."""


def webhook_of(request: Request) -> Webhook | None:
    """Whom a submission wants to be told. Raises UrlNotAllowed and InvalidInput, which name the parameter."""
    url = request.query_params.get("webhook") if request.scope["query_string"] else None
    if not url:
        return None
    if len(url) > MAX_URL_CHARACTERS:
        raise refusal("webhook", _TOO_LONG)
    try:
        services(request).fetcher.check(url)
    except UrlNotAllowed as error:
        raise UrlNotAllowed(
            error.text.after("webhook: "), fields=refusal("webhook", error.text).fields
        ) from None
    return Webhook(url, flag(request, "webhook_intermediate_status"), base_url(request))


@router.get("/v1/webhooks/secret", **documented(WebhookSecret, "webhooks"))
async def secret(request: Request) -> Response:
    """Show what the account's deliveries are signed with."""
    return json_answer(_shown(await services(request).webhooks.secret(account(request).id)))


@router.post("/v1/webhooks/secret/rotate", **documented(WebhookSecret, "webhooks"))
async def rotate(request: Request) -> Response:
    """Replace the secret; what is sent from now on is signed with the new one."""
    return json_answer(_shown(await services(request).webhooks.rotate(account(request).id)))


@router.get(
    "/v1/webhooks/deliveries",
    **documented(
        DeliveryList,
        "webhooks",
        in_query("request_id", "string"),
        in_query("limit", "integer"),
        in_query("cursor", "string"),
    ),
)
async def deliveries(request: Request) -> Response:
    """List the account's deliveries, the newest first."""
    limit = whole_number(request, "limit", 20, 1, MAX_PAGE)
    of_job = request.query_params.get("request_id") or None
    found = await services(request).webhooks.log(
        account(request).id, limit + 1, before=cursor(request), job_id=of_job
    )
    page, next_cursor = page_of(found, limit)
    return json_answer({"deliveries": [delivery_of(event) for event in page], "next_cursor": next_cursor})


@router.get("/v1/webhooks/deliveries/{event_id}", **documented(Delivery, "webhooks", _EVENT_ID))
async def delivery(request: Request) -> Response:
    """Show one delivery with every try at it."""
    event_id, known = _event_id(request), services(request).webhooks
    event = await known.event(event_id, account(request).id)
    if event is None:
        raise NotFound(_UNKNOWN)
    return json_answer(delivery_of(event, await known.tries(event_id)))


@router.post(
    "/v1/webhooks/deliveries/{event_id}/redeliver",
    **documented(Delivery, "webhooks", _EVENT_ID, status_code=202),
)
async def redeliver(request: Request) -> Response:
    """Deliver again, with all retries; the event keeps its id."""
    event_id, known = _event_id(request), services(request).webhooks
    if not await known.redeliver(event_id, account(request).id):
        raise NotFound(_UNKNOWN)
    event = await known.event(event_id, account(request).id)
    if event is None:
        raise NotFound(_UNKNOWN)
    return json_answer(delivery_of(event, await known.tries(event_id)), 202)


def _event_id(request: Request) -> str:
    event_id: str = request.path_params["event_id"]
    if not _ID.fullmatch(event_id):
        raise NotFound(_UNKNOWN)
    return event_id


def _shown(secret: Secret) -> dict[str, str]:
    return {"secret": secret.secret, "created_at": timestamp(secret.created_at)}


_UNKNOWN = Text("There is no such delivery.", "그런 전송이 없습니다.")
_TOO_LONG = Text(
    f"must have at most {MAX_URL_CHARACTERS} characters", f"최대 {MAX_URL_CHARACTERS}자까지 가능합니다"
)
