"""The profile: one's own keys, what they may, and what was spent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from safelight.api.forms import KeyForm
from safelight.api.services import services
from safelight.callers import Key, Scope
from safelight.errors import InvalidInput
from safelight.web.forms import Form, problems_of, read_form
from safelight.web.rendering import render
from safelight.web.visit import Visit, own_visit

LIFETIMES_DAYS = (30, 90, 365)
"""How long a key may be made to last; it may also last until it is revoked."""


async def profile(request: Request) -> Response:
    """Show the profile."""
    visit, _ = await own_visit(request)
    return await _shown(visit)


async def create_key(request: Request) -> Response:
    """Make a key and show it, this once."""
    visit, account = await own_visit(request, Scope.ADMIN)
    form = await read_form(request)
    try:
        wanted = KeyForm.parse(_key_fields(form), visit.language).key()
    except InvalidInput as error:
        return await _shown(visit, 422, problems=problems_of(error), filled=form)
    key, token = await services(request).keys.create(account.id, wanted)
    return await _shown(visit, 201, made=key, token=token)


async def revoke_key(request: Request) -> Response:
    """End a key at once."""
    _, account = await own_visit(request, Scope.ADMIN)
    await read_form(request)
    await services(request).keys.revoke(request.path_params["key_id"], account.id)
    return RedirectResponse("/profile#keys", 303)


def _key_fields(form: Form) -> dict[str, Any]:
    fields = {"name": form.first("name"), "scopes": form.all("scopes")}
    return fields | {"expires_in_days": form.number("expires_in_days")}


async def _shown(visit: Visit, status_code: int = 200, **context: Any) -> Response:
    assert visit.account is not None  # noqa: S101 - own_visit has seen to it
    keys = await services(visit.request).keys.all_of(visit.account.id)
    now = datetime.now(UTC)
    nothing: dict[str, Any] = {
        "made": None,
        "token": None,
        "problems": {},
        "filled": Form({"scopes": ["submit", "read"]}),
    }
    return render(
        visit,
        "profile.html",
        status_code,
        **{**nothing, **context},
        keys=[key for key in keys if _is_valid(key, now)],
        over=[key for key in keys if not _is_valid(key, now)],
        scopes=tuple(Scope),
        lifetimes=LIFETIMES_DAYS,
        may_manage=visit.may(Scope.ADMIN),
    )


def _is_valid(key: Key, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
