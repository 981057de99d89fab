"""For the owner of the server: everybody's accounts, their limits and keys."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from safelight.accounts.accounts import FIRST_KEY
from safelight.api.forms import AccountForm, GrantForm, LimitsForm
from safelight.api.services import services
from safelight.callers import Limits
from safelight.credits.ledger import Balance
from safelight.errors import InsufficientCredits, InvalidInput
from safelight.web.forms import Form, problems_of, read_form
from safelight.web.key_forms import MadeKey, keys_context, make_key
from safelight.web.money import money_context
from safelight.web.rendering import render
from safelight.web.visit import Visit, operator_visit

LIMITS = tuple(vars(Limits()))


async def accounts(request: Request) -> Response:
    """List all accounts."""
    return await _list(await operator_visit(request))


async def create_account(request: Request) -> Response:
    """Make an account, and show its first key this once."""
    visit = await operator_visit(request)
    form = await read_form(request)
    asked = {"email": form.first("email").strip(), "unmetered": form.first("unmetered") == "on"}
    try:
        wanted = AccountForm.parse(asked, visit.language)
    except InvalidInput as error:
        return await _list(visit, 422, problems=problems_of(error, visit.language), filled=form)
    known = services(request)
    made = await known.accounts.create(wanted.email, wanted.limits(), unmetered=wanted.unmetered)
    key, token = await known.keys.create(made.id, FIRST_KEY)
    return await _one(visit, made.id, 201, made=MadeKey(key, token))


async def account(request: Request) -> Response:
    """Show one account."""
    return await _one(await operator_visit(request), _account_id(request))


async def set_limits(request: Request) -> Response:
    """Give an account other limits; what is left empty is unlimited."""
    visit = await operator_visit(request)
    form = await read_form(request)
    try:
        wanted = LimitsForm.parse({name: form.number(name) for name in LIMITS}, visit.language)
    except InvalidInput as error:
        return await _one(
            visit, _account_id(request), 422, problems=problems_of(error, visit.language), limits_filled=form
        )
    await services(request).accounts.set_limits(_account_id(request), wanted.limits())
    return RedirectResponse(f"/operator/accounts/{_account_id(request)}#limits", 303)


async def give_credits(request: Request) -> Response:
    """Give an account credits, or take some back."""
    visit = await operator_visit(request)
    form = await read_form(request)
    account_id = _account_id(request)
    try:
        wanted = GrantForm.parse(
            {"amount_usd": form.number("amount_usd"), "note": form.first("note")}, visit.language
        )
        await services(request).ledger.grant(account_id, wanted.amount_usd, wanted.note)
    except (InvalidInput, InsufficientCredits) as error:
        problems = problems_of(error, visit.language)
        told = {"amount_usd": problems.get("amount_usd") or next(iter(problems.values()))}
        return await _one(visit, account_id, 422, problems=told, filled=form)
    return RedirectResponse(f"/operator/accounts/{account_id}#credits", 303)


async def create_key(request: Request) -> Response:
    """Make a key for an account and show it, this once."""
    visit = await operator_visit(request)
    found = await services(request).accounts.get(_account_id(request))
    made = await make_key(visit, await read_form(request), found.id)
    return await _one(visit, found.id, made.status_code, made=made)


async def revoke_key(request: Request) -> Response:
    """End an account's key at once."""
    await operator_visit(request)
    await read_form(request)
    await services(request).keys.revoke(request.path_params["key_id"], _account_id(request))
    return RedirectResponse(f"/operator/accounts/{_account_id(request)}#keys", 303)


async def _list(visit: Visit, status_code: int = 200, **context: Any) -> Response:
    found = await services(visit.request).accounts.all()
    nothing: dict[str, Any] = {"problems": {}, "filled": Form({})}
    balances = await services(visit.request).ledger.balances()
    shown = {"accounts": found, "balances": balances, "nothing_free": Balance()}
    return render(visit, "accounts.html", status_code, **shown, **{**nothing, **context})


async def _one(
    visit: Visit, account_id: str, status_code: int = 200, made: MadeKey | None = None, **context: Any
) -> Response:
    found = await services(visit.request).accounts.get(account_id)
    address = f"/operator/accounts/{found.id}"
    limits = {name: [str(value)] for name, value in vars(found.limits).items() if value is not None}
    nothing: dict[str, Any] = {"problems": {}, "filled": Form({}), "limits_filled": Form(limits)}
    keys = await keys_context(visit.request, found.id, made or MadeKey(), f"{address}/keys")
    return render(
        visit,
        "account.html",
        status_code,
        shown=found,
        address=address,
        limit_names=LIMITS,
        may_manage=True,
        money_of=found,
        money_form=f"{address}/credits",
        **await money_context(visit.request, found),
        **{**nothing, **context},
        **keys,
    )


def _account_id(request: Request) -> str:
    account_id: str = request.path_params["account_id"]
    return account_id
