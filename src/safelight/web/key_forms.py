"""Keys on pages: making one from a form, and what a page needs to show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from safelight.api.forms import KeyForm
from safelight.api.services import services
from safelight.callers import Key, Scope
from safelight.errors import InvalidInput
from safelight.web.forms import Form, problems_of
from safelight.web.visit import Visit

LIFETIMES_DAYS = (30, 90, 365)
"""How long a key may be made to last; it may also last until it is revoked."""


@dataclass(frozen=True)
class MadeKey:
    """What became of a form: the key with its token, shown this once, or what was wrong with the form."""

    key: Key | None = None
    token: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    filled: Form = field(default_factory=lambda: Form({"scopes": ["submit", "read"]}))

    @property
    def status_code(self) -> int:
        """The HTTP status that says so."""
        return 422 if self.problems else 201


async def make_key(visit: Visit, form: Form, account_id: str) -> MadeKey:
    """Make the key that a form asks for."""
    fields: dict[str, Any] = {"name": form.first("name"), "scopes": form.all("scopes")}
    try:
        asked = KeyForm.parse(fields | {"expires_in_days": form.number("expires_in_days")}, visit.language)
    except InvalidInput as error:
        return MadeKey(problems=problems_of(error, visit.language), filled=form)
    key, token = await services(visit.request).keys.create(account_id, asked.key())
    return MadeKey(key, token)


async def keys_context(request: Request, account_id: str, made: MadeKey, action: str) -> dict[str, Any]:
    """What `keys.html` shows. action: where its forms are sent to."""
    keys = await services(request).keys.all_of(account_id)
    now = datetime.now(UTC)
    return {
        "made": made,
        "keys": [key for key in keys if _is_valid(key, now)],
        "over": [key for key in keys if not _is_valid(key, now)],
        "scopes": tuple(Scope),
        "lifetimes": LIFETIMES_DAYS,
        "keys_action": action,
    }


def _is_valid(key: Key, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
