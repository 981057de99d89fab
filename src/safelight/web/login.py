"""Logging in with a password, a key or a one-time code, logging out, and what a visitor prefers."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from safelight.accounts.sessions import LIFETIME
from safelight.api.browser import SESSION, cookies_of, session_cookie
from safelight.api.guards import headers_of
from safelight.api.services import client_address, services
from safelight.errors import RateLimited, Unauthorized
from safelight.web import texts
from safelight.web.forms import Form, read_form, told_to_wait
from safelight.web.rendering import keep, render
from safelight.web.visit import THEME, THEMES, visit_of

_LOCAL_PATH = re.compile(r"/(?![/\\])[!-~]{0,2000}")


async def login_form(request: Request) -> Response:
    """Ask for a password or a key. A link with a code in its fragment logs in by itself."""
    wanted = _local(request.query_params.get("next"))
    return render(await visit_of(request), "login.html", next=wanted, email="", problems={})


async def log_in(request: Request) -> Response:
    """Begin a session, and go where the visitor wanted to go."""
    form = await read_form(request)
    wanted = _local(form.first("next"))
    way = "code" if form.first("code") else "password" if form.first("email") else "key"
    try:
        token = await _WAYS[way](request, form)
    except (Unauthorized, RateLimited) as error:
        visit = await visit_of(request)
        why = error.text if isinstance(error, RateLimited) else texts.ALL[f"login.{way}_refused"]
        problems = {"key" if way == "code" else way: why.within(visit.language)}
        shown = {"next": wanted, "email": form.first("email"), "problems": problems}
        return told_to_wait(render(visit, "login.html", error.http_status, **shown), error)
    return _with_session(request, token, int(LIFETIME.total_seconds()), wanted)


async def _by_code(request: Request, form: Form) -> str:
    return await services(request).sessions.begin_with_code(form.first("code"))


async def _by_password(request: Request, form: Form) -> str:
    known, address = services(request), client_address(request)
    proven = await known.passwords.prove(form.first("email"), form.first("password"), address)
    return await known.sessions.begin_with_password(proven)


async def _by_key(request: Request, form: Form) -> str:
    return await services(request).sessions.begin_with_key(form.first("key").strip())


_WAYS = {"code": _by_code, "password": _by_password, "key": _by_key}


async def log_out(request: Request) -> Response:
    """End the session, here and in the browser."""
    await read_form(request)
    await services(request).sessions.end(cookies_of(headers_of(request.scope)).get(SESSION, ""))
    return _with_session(request, "", 0, "/")


async def prefer(request: Request) -> Response:
    """Remember the colours that a visitor has chosen, and go back."""
    form = await read_form(request)
    response = RedirectResponse(_local(form.first("next")), 303)
    theme = form.first("theme")
    if theme in THEMES:
        keep(response, THEME, theme)
    return response


def _with_session(request: Request, token: str, lifetime_s: int, wanted: str) -> Response:
    response = RedirectResponse(wanted, 303, {"cache-control": "no-store"})
    is_secure = request.url.scheme == "https" or _is_behind_tls(request)
    response.headers["set-cookie"] = session_cookie(token, lifetime_s, is_secure=is_secure)
    return response


def _is_behind_tls(request: Request) -> bool:
    """Whether the page came from the public URL, and that is https."""
    return request.headers.get("origin", "").startswith("https://")


def _local(path: str | None) -> str:
    """A path of this server, and nothing that leads elsewhere."""
    return path if path and _LOCAL_PATH.fullmatch(path) else "/"
