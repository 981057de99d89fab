"""Which scope a request needs: judged by method and address alone, so that no route can forget to ask."""

from __future__ import annotations

import re

from safelight.accounts.accounts import OWNER_ID
from safelight.callers import Caller, Scope
from safelight.errors import Forbidden
from safelight.texts import Text

_ADMIN = re.compile(r"/v1/(keys|admin|webhooks/secret)(/|$)|/api/cli-auth/approve$")
_SERVER = re.compile(r"/v1/admin(/|$)|/metrics$")
_ANYBODY = re.compile(r"/v1/models(/|$)|/api/auth/me$")
"""What every key may read: the catalogue, and whose it is."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_QUOTE = re.compile(r"/v1/models/.+/quote")


def check_scope(caller: Caller, method: str, path: str) -> None:
    """Raise Forbidden unless the caller's key is for this."""
    scope = needed_scope(method, path)
    if scope is not None and scope not in caller.scopes:
        raise Forbidden(
            Text(
                f"This key lacks the scope '{scope}'; an account's keys are at /v1/keys.",
                f"이 키에는 '{scope}' 권한이 없습니다. 계정의 키는 /v1/keys에 있습니다.",
            )
        )
    if _SERVER.match(path) and caller.account.id != OWNER_ID:
        raise Forbidden(
            Text("Only the owner of this server may do that.", "이 서버의 소유자만 할 수 있습니다.")
        )


def needed_scope(method: str, path: str) -> Scope | None:
    """The scope; None: any key will do. Whatever is not known here reads with GET and submits otherwise."""
    if _ADMIN.match(path):
        return Scope.ADMIN
    if method in _READING:
        return None if _ANYBODY.match(path) else Scope.READ
    return Scope.READ if _QUOTE.fullmatch(path) else Scope.SUBMIT
