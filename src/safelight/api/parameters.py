"""Query parameters: read strictly, refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from starlette.requests import Request

from safelight.errors import FieldProblem, InvalidInput
from safelight.texts import Text

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def flag(request: Request, name: str) -> bool:
    """A parameter that is true or false, and false when it is absent."""
    text = request.query_params.get(name, "false").lower()
    if text not in _FLAGS:
        raise refusal(name, Text("must be true or false", "true 또는 false여야 합니다"))
    return _FLAGS[text]


def whole_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A parameter that is an integer from least to most."""
    text = request.query_params.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
        raise refusal(name, _between(least, most))
    return int(text)


def day(request: Request, name: str) -> date | None:
    """A parameter that is a day, such as 2026-11-21; None when it is absent."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise refusal(
            name, Text("must be a day such as 2026-11-21", "2026-11-21과 같은 날짜여야 합니다")
        ) from None


def one_of(request: Request, name: str, known: Iterable[str]) -> str | None:
    """A parameter that is one of these words, and None when it is absent or empty."""
    word = request.query_params.get(name) or None
    if word is not None and word not in known:
        listing = ", ".join(known)
        raise refusal(name, Text(f"must be one of {listing}", f"다음 중 하나여야 합니다: {listing}"))
    return word


def cursor(request: Request) -> str | None:
    """Where a list goes on: the `next_cursor` of the page before; None: at its beginning."""
    text = request.query_params.get("cursor") or None
    if text is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", text):
        raise refusal("cursor", _NO_CURSOR)
    return text


_NO_CURSOR = Text("must be the next_cursor of the page before", "이전 페이지의 next_cursor여야 합니다")


def refusal(name: str, message: Text) -> InvalidInput:
    """What a parameter is refused with."""
    return InvalidInput(message.after(f"{name} "), fields=(FieldProblem(name, message),))


def _between(least: int, most: int) -> Text:
    return Text(f"must be an integer from {least} to {most}", f"{least}에서 {most} 사이의 정수여야 합니다")
