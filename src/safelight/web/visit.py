"""A visit: who looks at a page, in which language and colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from safelight.api.browser import SESSION, cookies_of
from safelight.api.guards import headers_of
from safelight.api.services import services
from safelight.callers import Account
from safelight.errors import SafelightError, Unauthorized
from safelight.texts import Language, choose_language

LANGUAGE = "safelight_language"
THEME = "safelight_theme"
THEMES = ("light", "dark")


@dataclass(frozen=True)
class Visit:
    """account: None before the login. theme: empty leaves it to the visitor's system."""

    request: Request
    language: Language
    theme: str
    account: Account | None

    @property
    def address(self) -> str:
        """The page's path and query."""
        query = self.request.url.query
        return self.request.url.path + (f"?{query}" if query else "")

    @property
    def asked_language(self) -> str | None:
        """The language that the address itself asks for."""
        asked = self.request.query_params.get("lang")
        return asked if asked in set(Language) else None

    def address_in(self, language: Language) -> str:
        """This page in another language."""
        others = [(name, value) for name, value in parse_qsl(self.request.url.query) if name != "lang"]
        return f"{self.request.url.path}?{urlencode([*others, ('lang', language.value)])}"


async def visit_of(request: Request) -> Visit:
    """Read what a request says about its visitor."""
    cookies = cookies_of(headers_of(request.scope))
    wish = request.query_params.get("lang") or cookies.get(LANGUAGE)
    theme = cookies.get(THEME, "")
    return Visit(
        request=request,
        language=choose_language(wish, request.headers.get("accept-language")),
        theme=theme if theme in THEMES else "",
        account=await _account(request, cookies.get(SESSION)),
    )


async def own_visit(request: Request) -> tuple[Visit, Account]:
    """The visit of somebody who is logged in. Raises Unauthorized, which leads to the login."""
    visit = await visit_of(request)
    if visit.account is None:
        raise Unauthorized
    return visit, visit.account


async def _account(request: Request, token: str | None) -> Account | None:
    if "visitor" not in request.scope:
        request.scope["visitor"] = await _look_up(request, token) if token else None
    return cast("Account | None", request.scope["visitor"])


async def _look_up(request: Request, token: str) -> Account | None:
    try:
        return (await services(request).sessions.caller_of(token)).account
    except SafelightError:
        return None
