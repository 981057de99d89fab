"""Query parameters: read strictly, refused by name."""

from __future__ import annotations

import re
from datetime import date

from starlette.requests import Request

from safelight.errors import FieldProblem, InvalidInput

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def flag(request: Request, name: str) -> bool:
    """A parameter that is true or false, and false when it is absent."""
    text = request.query_params.get(name, "false").lower()
    if text not in _FLAGS:
        raise _refusal(name, "must be true or false")
    return _FLAGS[text]


def whole_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A parameter that is an integer from least to most."""
    text = request.query_params.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
        raise _refusal(name, f"must be an integer from {least} to {most}")
    return int(text)


def day(request: Request, name: str) -> date | None:
    """A parameter that is a day, such as 2026-11-21; None when it is absent."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _refusal(name, "must be a day such as 2026-11-21") from None


def _refusal(name: str, message: str) -> InvalidInput:
    return InvalidInput(f"{name} {message}", fields=(FieldProblem(name, message),))
