"""A visit: who looks at a page, in which language and colours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from safelight.accounts.accounts import OWNER_ID
from safelight.api.browser import SESSION, cookies_of
from safelight.api.guards import headers_of
from safelight.api.services import services
from safelight.callers import Account, Caller, Scope
from safelight.errors import Forbidden, SafelightError, Unauthorized
from safelight.texts import Language, Text, choose_language

LANGUAGE = "safelight_language"
THEME = "safelight_theme"
THEMES = ("light", "dark")
_FORM = re.compile(r"/(keys|limits|credits|password)$")


@dataclass(frozen=True)
class Visit:
    """caller: None before the login. theme: empty leaves it to the visitor's system."""

    request: Request
    language: Language
    theme: str
    caller: Caller | None

    @property
    def account(self) -> Account | None:
        """Who is logged in."""
        return self.caller.account if self.caller else None

    @property
    def is_operator(self) -> bool:
        """Whether the server's own pages are open to this visitor."""
        return self.caller is not None and self.may(Scope.ADMIN) and self.caller.account.id == OWNER_ID

    def may(self, scope: Scope) -> bool:
        """Whether the key that began the session is for this; a session without a key may everything."""
        return self.caller is not None and scope in self.caller.scopes

    @property
    def path(self) -> str:
        """The page's path: also when this answers a form, which is sent to a path below it."""
        path = self.request.url.path
        return path if self.request.method == "GET" else _FORM.sub("", path)

    @property
    def address(self) -> str:
        """The page's path and query."""
        query = self.request.url.query
        return self.path + (f"?{query}" if query else "")

    @property
    def asked_language(self) -> str | None:
        """The language that the address itself asks for."""
        asked = self.request.query_params.get("lang")
        return asked if asked in set(Language) else None

    def address_in(self, language: Language) -> str:
        """This page in another language."""
        others = [(name, value) for name, value in parse_qsl(self.request.url.query) if name != "lang"]
        return f"{self.path}?{urlencode([*others, ('lang', language.value)])}"


async def visit_of(request: Request) -> Visit:
    """Read what a request says about its visitor."""
    cookies = cookies_of(headers_of(request.scope))
    wish = request.query_params.get("lang") or cookies.get(LANGUAGE)
    theme = cookies.get(THEME, "")
    return Visit(
        request=request,
        language=choose_language(wish, request.headers.get("accept-language")),
        theme=theme if theme in THEMES else "",
        caller=await _caller(request, cookies.get(SESSION)),
    )


async def own_visit(request: Request, scope: Scope = Scope.READ) -> tuple[Visit, Account]:
    """The visit of somebody who is logged in and may do this.

    Raises Unauthorized, which leads to the login, and Forbidden.
    """
    visit = await visit_of(request)
    if visit.account is None:
        raise Unauthorized
    if not visit.may(scope):
        raise Forbidden(
            Text(
                f"This session's key lacks the scope '{scope}'.",
                f"이 세션의 키에는 '{scope}' 권한이 없습니다.",
            )
        )
    return visit, visit.account


async def operator_visit(request: Request) -> Visit:
    """The visit of the server's owner. Raises Unauthorized and Forbidden."""
    visit, _ = await own_visit(request, Scope.ADMIN)
    if not visit.is_operator:
        raise Forbidden
    return visit


async def _caller(request: Request, token: str | None) -> Caller | None:
    if "visitor" not in request.scope:
        request.scope["visitor"] = await _look_up(request, token) if token else None
    return cast("Caller | None", request.scope["visitor"])


async def _look_up(request: Request, token: str) -> Caller | None:
    try:
        return await services(request).sessions.caller_of(token)
    except SafelightError:
        return None
