"""The profile: one's own keys, what they may, one's password, and what was spent."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from safelight.api.services import services
from safelight.callers import Account, Scope
from safelight.web.forms import read_form, told_to_wait
from safelight.web.key_forms import MadeKey, keys_context, make_key
from safelight.web.money import money_context
from safelight.web.password_form import Refusal, change_password, password_context
from safelight.web.rendering import render
from safelight.web.visit import Visit, own_visit


async def profile(request: Request) -> Response:
    """Show the profile."""
    visit, account = await own_visit(request)
    return await _shown(visit, account)


async def create_key(request: Request) -> Response:
    """Make a key and show it, this once."""
    visit, account = await own_visit(request, Scope.ADMIN)
    made = await make_key(visit, await read_form(request), account.id)
    return await _shown(visit, account, made, made.status_code)


async def revoke_key(request: Request) -> Response:
    """End a key at once."""
    _, account = await own_visit(request, Scope.ADMIN)
    await read_form(request)
    await services(request).keys.revoke(request.path_params["key_id"], account.id)
    return RedirectResponse("/profile#keys", 303)


async def set_password(request: Request) -> Response:
    """Set, change or remove the password, and log everybody else out who uses this account."""
    visit, account = await own_visit(request, Scope.ADMIN)
    done = await change_password(visit, account, await read_form(request))
    if isinstance(done, Refusal):
        page = await _shown(visit, account, status_code=done.error.http_status, refusal=done)
        return told_to_wait(page, done.error)
    return RedirectResponse(f"/profile?password={done}#password", 303)


async def _shown(
    visit: Visit,
    account: Account,
    made: MadeKey | None = None,
    status_code: int = 200,
    refusal: Refusal | None = None,
) -> Response:
    return render(
        visit,
        "profile.html",
        status_code,
        may_manage=visit.may(Scope.ADMIN),
        money_of=account,
        money_form=None,
        **await money_context(visit.request, account),
        **await keys_context(visit.request, account.id, made or MadeKey(), "/profile/keys"),
        **await password_context(visit.request, account, refusal),
    )
