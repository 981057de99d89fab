"""The password on the profile: set, changed or removed by whoever is logged in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from safelight.accounts.passwords import MIN_CHARACTERS
from safelight.api.browser import SESSION, cookies_of
from safelight.api.forms import PasswordForm
from safelight.api.guards import headers_of
from safelight.api.services import client_address, services
from safelight.callers import Account
from safelight.errors import FieldProblem, InvalidInput, RateLimited, SafelightError, Unauthorized
from safelight.texts import Language
from safelight.web import texts
from safelight.web.forms import Form, problems_of
from safelight.web.visit import Visit

SET, REMOVED = "set", "removed"


@dataclass(frozen=True)
class Refusal:
    """Why a password stays as it is, and what to say at which field."""

    error: SafelightError = field(default_factory=InvalidInput)
    problems: dict[str, str] = field(default_factory=dict)


async def change_password(visit: Visit, account: Account, form: Form) -> str | Refusal:
    """Do what a form asks for. Returns what has become of the password."""
    request, passwords = visit.request, services(visit.request).passwords
    has_one = await passwords.set_at(account.id) is not None
    try:
        wanted = None if form.first("do") == "remove" else _new(form, visit.language)
        proven = None
        if has_one:
            proven = await passwords.prove(account.email, form.first("current"), client_address(request))
        session = cookies_of(headers_of(request.scope)).get(SESSION, "")
        await passwords.change(account, wanted, proven, session)
    except InvalidInput as error:
        return Refusal(error, problems_of(error, visit.language))
    except Unauthorized:
        wrong = texts.ALL["password.current_refused"]
        return Refusal(problems={"current": wrong.within(visit.language)})
    except RateLimited as error:
        return Refusal(error, {"current" if has_one else "password": error.text.within(visit.language)})
    return REMOVED if wanted is None else SET


async def password_context(request: Request, account: Account, refusal: Refusal | None) -> dict[str, Any]:
    """What `password.html` shows."""
    outcome = request.query_params.get("password")
    return {
        "password_set_at": await services(request).passwords.set_at(account.id),
        "password_problems": refusal.problems if refusal else {},
        "password_outcome": outcome if outcome in (SET, REMOVED) else None,
        "password_least": MIN_CHARACTERS,
    }


def _new(form: Form, language: Language) -> str | None:
    password = PasswordForm.parse({"password": form.first("password")}, language).password
    if form.first("repeated") != form.first("password"):
        raise InvalidInput(fields=(FieldProblem("repeated", texts.ALL["password.repeated_refused"]),))
    return password
