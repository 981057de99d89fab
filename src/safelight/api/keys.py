"""An account's own keys: make, list and revoke them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.account_shapes import ApiKey, KeyList, NewApiKey
from safelight.api.account_wire import key_shown
from safelight.api.answers import json_answer
from safelight.api.documentation import body_of, documented, in_path
from safelight.api.forms import KeyForm, read_form
from safelight.api.services import account, services

router = APIRouter()


@router.get("/v1/keys", **documented(KeyList, "keys"))
async def keys(request: Request) -> Response:
    """List the account's keys, also those that are revoked or expired."""
    found = await services(request).keys.all_of(account(request).id)
    return json_answer({"keys": [key_shown(key) for key in found]})


@router.post("/v1/keys", **documented(NewApiKey, "keys", status_code=201, body=body_of(KeyForm)))
async def create(request: Request) -> Response:
    """Make a key; its token is in this answer and never again."""
    form = await read_form(request, KeyForm)
    key, token = await services(request).keys.create(account(request).id, form.key())
    return json_answer({**key_shown(key), "key": token}, 201)


@router.delete("/v1/keys/{key_id}", **documented(ApiKey, "keys", in_path("key_id")))
async def revoke(request: Request) -> Response:
    """End a key at once."""
    key_id = request.path_params["key_id"]
    return json_answer(key_shown(await services(request).keys.revoke(key_id, account(request).id)))
