"""For the owner of the server: everybody's accounts, keys and credits."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.accounts.accounts import FIRST_KEY
from safelight.api.account import DAYS, PAGE, ledger_of, usage_of
from safelight.api.account_shapes import (
    AccountList,
    ApiAccount,
    ApiKey,
    Audit,
    Granted,
    KeyList,
    LedgerPage,
    NewApiAccount,
    NewApiKey,
    UsageReport,
)
from safelight.api.account_wire import account_shown, entry_shown, key_shown, usd
from safelight.api.answers import json_answer
from safelight.api.documentation import body_of, documented, in_path
from safelight.api.forms import AccountForm, GrantForm, KeyForm, LimitsForm, PasswordForm, read_form
from safelight.api.services import services
from safelight.credits.ledger import Balance

router = APIRouter()

_ACCOUNT = in_path("account_id")


@router.get("/v1/admin/accounts", **documented(AccountList, "admin"))
async def accounts(request: Request) -> Response:
    """List all accounts."""
    found, balances = await services(request).accounts.all(), await services(request).ledger.balances()
    shown = [account_shown(account, balances.get(account.id, Balance())) for account in found]
    return json_answer({"accounts": shown})


@router.post(
    "/v1/admin/accounts", **documented(NewApiAccount, "admin", status_code=201, body=body_of(AccountForm))
)
async def create_account(request: Request) -> Response:
    """Make an account with a first key, which is in this answer and never again."""
    form = await read_form(request, AccountForm)
    known = services(request)
    account = await known.accounts.create(form.email, form.limits(), unmetered=form.unmetered)
    _, token = await known.keys.create(account.id, FIRST_KEY)
    return json_answer({**account_shown(account, Balance()), "key": token}, 201)


@router.put(
    "/v1/admin/accounts/{account_id}/limits",
    **documented(ApiAccount, "admin", _ACCOUNT, body=body_of(LimitsForm)),
)
async def set_limits(request: Request) -> Response:
    """Give an account other limits; what is left out is unlimited."""
    form = await read_form(request, LimitsForm)
    account = await services(request).accounts.set_limits(_account_id(request), form.limits())
    return json_answer(account_shown(account, await services(request).ledger.balance(account.id)))


@router.put(
    "/v1/admin/accounts/{account_id}/password",
    **documented(ApiAccount, "admin", _ACCOUNT, body=body_of(PasswordForm)),
)
async def set_password(request: Request) -> Response:
    """Give an account a password for the pages, or none, and end its sessions there."""
    form = await read_form(request, PasswordForm)
    account = await services(request).accounts.get(_account_id(request))
    await services(request).passwords.reset(account, form.password)
    return json_answer(account_shown(account, await services(request).ledger.balance(account.id)))


@router.post(
    "/v1/admin/accounts/{account_id}/grants",
    **documented(Granted, "admin", _ACCOUNT, status_code=201, body=body_of(GrantForm)),
)
async def grant(request: Request) -> Response:
    """Give an account credits, or take them back with a negative amount."""
    form = await read_form(request, GrantForm)
    ledger, account_id = services(request).ledger, _account_id(request)
    entry = await ledger.grant(account_id, form.amount_usd, form.note)
    balance = await ledger.balance(account_id)
    return json_answer({"entry": entry_shown(entry), "balance_usd": usd(balance.free)}, 201)


@router.get("/v1/admin/accounts/{account_id}/ledger", **documented(LedgerPage, "admin", _ACCOUNT, *PAGE))
async def ledger(request: Request) -> Response:
    """List what has happened to an account's balance."""
    return await ledger_of(request, (await services(request).accounts.get(_account_id(request))).id)


@router.get("/v1/admin/accounts/{account_id}/usage", **documented(UsageReport, "admin", _ACCOUNT, *DAYS))
async def usage(request: Request) -> Response:
    """Tell what an account has used."""
    account = await services(request).accounts.get(_account_id(request))
    return json_answer(await usage_of(request, account.id))


@router.get("/v1/admin/audit", **documented(Audit, "admin"))
async def audit(request: Request) -> Response:
    """Prove the ledger: every balance is the sum of its entries, every request is settled once."""
    findings = await services(request).ledger.audit()
    return json_answer({"ok": not findings, "findings": findings})


@router.get("/v1/admin/accounts/{account_id}/keys", **documented(KeyList, "admin", _ACCOUNT))
async def keys(request: Request) -> Response:
    """List an account's keys."""
    account = await services(request).accounts.get(_account_id(request))
    found = await services(request).keys.all_of(account.id)
    return json_answer({"keys": [key_shown(key) for key in found]})


@router.post(
    "/v1/admin/accounts/{account_id}/keys",
    **documented(NewApiKey, "admin", _ACCOUNT, status_code=201, body=body_of(KeyForm)),
)
async def create_key(request: Request) -> Response:
    """Make a key for an account."""
    form = await read_form(request, KeyForm)
    account = await services(request).accounts.get(_account_id(request))
    key, token = await services(request).keys.create(account.id, form.key())
    return json_answer({**key_shown(key), "key": token}, 201)


@router.delete("/v1/admin/keys/{key_id}", **documented(ApiKey, "admin", in_path("key_id")))
async def revoke_key(request: Request) -> Response:
    """End anybody's key at once."""
    return json_answer(key_shown(await services(request).keys.revoke(request.path_params["key_id"])))


def _account_id(request: Request) -> str:
    account_id: str = request.path_params["account_id"]
    return account_id
