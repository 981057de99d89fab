"""How a submission wants to be treated, as its headers say: retried safely, waited for, ended in time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request

from safelight.errors import InvalidHeader
from safelight.texts import Text

MAX_WAIT_S = 60
MAX_CANCEL_AFTER_S = 30 * 24 * 3600

_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_WAIT = re.compile(r"wait\s*=\s*(.*)", re.IGNORECASE)
_SECONDS = re.compile(r"([0-9]{1,9})s")


@dataclass(frozen=True)
class Wishes:
    """What the headers ask for. wait_s: how long the answer may wait for the result; 0: not at all."""

    idempotency_key: str | None = None
    wait_s: int = 0
    cancel_after_s: int | None = None


def wishes_of(request: Request) -> Wishes:
    """Read the headers of a submission. Raises InvalidHeader for a value that makes no sense."""
    names = {name for name, _ in request.scope["headers"]}
    if not names & _KNOWN:
        return Wishes()
    return Wishes(_idempotency_key(request), _wait_s(request), _cancel_after_s(request))


_KNOWN = {b"idempotency-key", b"prefer", b"cancel-after"}


def _idempotency_key(request: Request) -> str | None:
    key = _only(request, "Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidHeader(_BAD_KEY)
    return key


def _wait_s(request: Request) -> int:
    """Of RFC 7240's preferences `wait` is the one that is known here; others are left alone."""
    wishes = [wish.strip() for text in request.headers.getlist("prefer") for wish in text.split(",")]
    waits = [match.group(1) for wish in wishes if (match := _WAIT.fullmatch(wish.split(";")[0].strip()))]
    if not waits:
        return 0
    # The first one counts, says the RFC.
    number = waits[0].strip('"')
    if not re.fullmatch(r"[0-9]{1,2}", number) or not 1 <= int(number) <= MAX_WAIT_S:
        raise InvalidHeader(_BAD_WAIT)
    return int(number)


def _cancel_after_s(request: Request) -> int | None:
    text = _only(request, "Cancel-After")
    if text is None:
        return None
    match = _SECONDS.fullmatch(text)
    if not match or not 1 <= int(match.group(1)) <= MAX_CANCEL_AFTER_S:
        raise InvalidHeader(_BAD_CANCEL_AFTER)
    return int(match.group(1))


def _only(request: Request, name: str) -> str | None:
    found = request.headers.getlist(name)
    if len(found) > 1:
        raise InvalidHeader(Text(f"The {name} header came twice.", f"{name} 헤더가 두 번 왔습니다."))
    return found[0] if found else None


_BAD_KEY = Text(
    "Idempotency-Key must be 1 to 255 printable ASCII characters.",
    "Idempotency-Key는 1~255자의 출력 가능한 ASCII 문자여야 합니다.",
)
_BAD_WAIT = Text(
    f"Prefer: wait must be a whole number of seconds from 1 to {MAX_WAIT_S}, such as wait=30.",
    f"Prefer: wait은 1에서 {MAX_WAIT_S} 사이의 정수 초여야 합니다. 예: wait=30",
)
_BAD_CANCEL_AFTER = Text(
    f"Cancel-After must be a whole number of seconds from 1s to {MAX_CANCEL_AFTER_S}s, such as 90s.",
    f"Cancel-After는 1s에서 {MAX_CANCEL_AFTER_S}s 사이의 정수 초여야 합니다. 예: 90s",
)
