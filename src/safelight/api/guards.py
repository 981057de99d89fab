"""What a request passes before any endpoint sees it: header bounds, the host it names, the key it carries."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from safelight.accounts import Accounts
from safelight.errors import InvalidHeader, Unauthorized

MAX_HEADER_BYTES = 32 * 1024

PROTECTED = ("/v1", "/prod", "/api")
"""Every path under these needs a key, whether there is something behind it or not."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PROBES = {"/healthz", "/readyz"}
_HOST = re.compile(rb"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_BEARER = re.compile(rb"bearer ([!-~]{1,255})", re.IGNORECASE)


class Guard(ABC):
    """A layer that looks at a request and refuses it by raising, or lets it pass."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, then pass it on."""
        if scope["type"] == "http":
            await self.check(scope)
        await self.app(scope, receive, send)

    @abstractmethod
    async def check(self, scope: Scope) -> None:
        """Raise what the caller shall be told."""


class HeaderBounds(Guard):
    """Refuse a request whose address and headers together are over MAX_HEADER_BYTES."""

    async def check(self, scope: Scope) -> None:
        """Count the bytes. Raises InvalidHeader."""
        size_bytes = len(scope["raw_path"]) + len(scope["query_string"])
        for name, value in scope["headers"]:
            size_bytes += len(name) + len(value)
        if size_bytes > MAX_HEADER_BYTES:
            raise InvalidHeader(
                f"The address and the headers are over {MAX_HEADER_BYTES // 1024} KB together."
            )


class KnownHost(Guard):
    """Refuse a Host header that is malformed or, with a public URL configured, names another host.

    Without this, a web page could reach a server on its visitor's machine through a name that resolves to
    it, and answers would carry URLs of the attacker's choice. Probes of a balancer go by address: they are
    answered under any host.
    """

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        super().__init__(app)
        host = urlsplit(public_url).hostname
        self.known = _LOOPBACK | {host} if host else None

    async def check(self, scope: Scope) -> None:
        """Look at the Host header. Raises InvalidHeader."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or (hosts and not _HOST.fullmatch(hosts[0])):
            raise InvalidHeader("The Host header is malformed.")
        if self.known and scope["path"] not in _PROBES:
            name = urlsplit(f"//{hosts[0].decode('ascii')}").hostname if hosts else None
            if name not in self.known:
                raise InvalidHeader("This server does not answer to that Host.")


class Authentication(Guard):
    """Let nobody under PROTECTED without a valid key, and put the key's account into the scope."""

    def __init__(self, app: ASGIApp, accounts: Accounts) -> None:
        super().__init__(app)
        self.accounts = accounts

    async def check(self, scope: Scope) -> None:
        """Find the account. Raises Unauthorized."""
        path = scope["path"]
        if path.startswith(_UNDER_PROTECTED) or path in PROTECTED:
            scope["account"] = await self.accounts.authenticate(_bearer_token(scope))


_UNDER_PROTECTED = tuple(f"{prefix}/" for prefix in PROTECTED)


def _bearer_token(scope: Scope) -> str:
    """The one bearer token of a request. Raises Unauthorized."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    match = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    if not match:
        raise Unauthorized
    return match.group(1).decode("ascii")
