"""What a request passes before any endpoint sees it: header bounds, the host it names, who it comes from."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from safelight.accounts.keys import Keys
from safelight.accounts.sessions import Sessions
from safelight.api.browser import SAFE_METHODS, SESSION, check_origin, cookies_of
from safelight.api.scopes import check_scope
from safelight.callers import Caller
from safelight.errors import InvalidHeader, Unauthorized
from safelight.texts import Text

MAX_HEADER_BYTES = 32 * 1024

PROTECTED = ("/v1", "/prod", "/api", "/metrics")
"""Every path under these needs a key or a session, whether there is something behind it or not."""

OPEN = frozenset({"/api/cli-auth/start", "/api/cli-auth/poll"})
"""But not these: a device that logs in has no key yet."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PROBES = {"/healthz", "/readyz"}
_HOST = re.compile(rb"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_BEARER = re.compile(rb"bearer ([!-~]{1,255})", re.IGNORECASE)


class Guards:
    """Check every request before it is passed on. Raises InvalidHeader, Unauthorized and Forbidden.

    What lies under PROTECTED is entered with a valid key, or from our own pages with a session, that has the
    scope for it. Who has come in is then `scope["caller"]`.
    """

    def __init__(self, app: ASGIApp, keys: Keys, sessions: Sessions, public_url: str) -> None:
        self.app = app
        self.keys = keys
        self.sessions = sessions
        self.public_url = public_url
        host = urlsplit(public_url).hostname
        self.known_hosts = _LOOPBACK | {host} if host else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, then pass it on."""
        if scope["type"] == "http":
            path: str = scope["path"]
            headers = headers_of(scope)
            self.check_host(headers.get(b"host"), path)
            if (path.startswith(_UNDER_PROTECTED) or path in PROTECTED) and path not in OPEN:
                caller = await self.authenticate(scope["method"], headers)
                check_scope(caller, scope["method"], path)
                scope["caller"] = caller
        await self.app(scope, receive, send)

    async def authenticate(self, method: str, headers: dict[bytes, bytes]) -> Caller:
        """Who sends this: a key comes first; a browser's session may change things from our pages alone."""
        if b"cookie" in headers and b"authorization" not in headers:
            caller = await self.sessions.caller_of(cookies_of(headers).get(SESSION, ""))
            if method not in SAFE_METHODS:
                check_origin(headers, self.public_url)
            return caller
        return await self.keys.authenticate(bearer_token(headers))

    def check_host(self, host: bytes | None, path: str) -> None:
        """Refuse a Host header that is malformed or, with a public URL configured, names another host.

        Without this, a web page could reach a server on its visitor's machine through a name that resolves to
        it, and answers would carry URLs of the attacker's choice. Probes of a balancer go by address: they
        are answered under any host.
        """
        if host is not None and not _HOST.fullmatch(host):
            raise InvalidHeader(Text("The Host header is malformed.", "Host 헤더의 형식이 잘못되었습니다."))
        if self.known_hosts and path not in _PROBES:
            name = urlsplit(f"//{host.decode('ascii')}").hostname if host else None
            if name not in self.known_hosts:
                raise InvalidHeader(_OTHER_HOST)


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """A request's headers, without an Authorization that is said twice. Raises InvalidHeader."""
    pairs = scope["headers"]
    headers = dict(pairs)
    size_bytes = len(scope["raw_path"]) + len(scope["query_string"])
    for name, value in pairs:
        size_bytes += len(name) + len(value)
    if size_bytes > MAX_HEADER_BYTES:
        raise InvalidHeader(_TOO_LONG)
    if len(headers) != len(pairs):
        names = [name for name, _ in pairs]
        if names.count(b"host") > 1:
            raise InvalidHeader(Text("The Host header came twice.", "Host 헤더가 두 번 왔습니다."))
        if names.count(b"authorization") > 1:
            del headers[b"authorization"]
    return headers


_OTHER_HOST = Text("This server does not answer to that Host.", "이 서버는 그 Host로는 응답하지 않습니다.")
_TOO_LONG = Text(
    f"The address and the headers are over {MAX_HEADER_BYTES // 1024} KB together.",
    f"주소와 헤더를 합쳐 {MAX_HEADER_BYTES // 1024}KB를 넘습니다.",
)
_UNDER_PROTECTED = tuple(f"{prefix}/" for prefix in PROTECTED)


def bearer_token(headers: dict[bytes, bytes]) -> str:
    """The bearer token of a request. Raises Unauthorized."""
    match = _BEARER.fullmatch(headers.get(b"authorization", b""))
    if not match:
        raise Unauthorized
    return match.group(1).decode("ascii")
