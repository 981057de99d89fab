"""From pydantic's errors to sentences that say what was wrong and what would work, in every language."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from safelight.errors import FieldProblem
from safelight.texts import Language, Text

MAX_PROBLEMS = 8
MAX_ECHO_CHARACTERS = 40


class Refused(ValueError):
    """A validator's own refusal; `field` names the culprit where a rule spans several fields."""

    def __init__(self, text: Text, *, field: str = "") -> None:
        super().__init__(text.en)
        self.text = text
        self.field = field


def problems_of(
    error: ValidationError, fields: Mapping[str, FieldInfo], language: Language
) -> tuple[FieldProblem, ...]:
    """One problem per field that was refused, at most MAX_PROBLEMS of them."""
    details = error.errors(include_url=False)
    return tuple(_problem(detail, fields, language) for detail in details[:MAX_PROBLEMS])


def _problem(detail: Any, fields: Mapping[str, FieldInfo], language: Language) -> FieldProblem:
    refusal = detail.get("ctx", {}).get("error")
    path = detail["loc"]
    if isinstance(refusal, Refused):
        return FieldProblem(refusal.field or _name(path), refusal.text.within(language))
    if detail["type"] == "extra_forbidden":
        return FieldProblem(_name(path), _unknown(path, fields).within(language))
    return FieldProblem(_name(path), _sentence(detail, _field_at(path, fields)).within(language))


def _field_at(path: tuple[int | str, ...], fields: Mapping[str, FieldInfo]) -> FieldInfo | None:
    """The declaration behind a path: of `("loras", 0, "scale")` that of `scale` in a list's items."""
    info = fields.get(str(path[0])) if path else None
    names = [part for part in path[1:] if isinstance(part, str)]
    if info is None or not names:
        return info
    item = get_args(info.annotation)[0] if get_args(info.annotation) else None
    return getattr(item, "model_fields", {}).get(names[0])


def _name(path: tuple[int | str, ...]) -> str:
    """`("loras", 0, "scale")` → `loras[0].scale`"""
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{_short(part)}" if name else _short(part)
    return name


def _short(text: str) -> str:
    cleaned = text.encode("utf-8", "replace").decode()
    return cleaned if len(cleaned) <= MAX_ECHO_CHARACTERS else cleaned[:MAX_ECHO_CHARACTERS] + "…"


def _unknown(path: tuple[int | str, ...], fields: Mapping[str, FieldInfo]) -> Text:
    known = list(fields) if len(path) == 1 else ["path", "scale"]
    near = difflib.get_close_matches(_short(str(path[-1])), known, n=1, cutoff=0.5)
    if near:
        return Text(
            f"is not a field; did you mean {near[0]}?", f"알 수 없는 필드입니다. {near[0]}을(를) 뜻하셨나요?"
        )
    listing = ", ".join(known)
    return Text(
        f"is not a field; known fields are {listing}",
        f"알 수 없는 필드입니다. 사용할 수 있는 필드: {listing}",
    )


def _sentence(detail: Any, info: FieldInfo | None) -> Text:
    kind, limits, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind in {"greater_than_equal", "less_than_equal"}:
        return _range(detail, info)
    if kind == "literal_error":
        allowed = limits["expected"].replace("'", "").replace(" or ", ", ")
        return Text(
            f"must be one of {allowed}{_got(value, 'en')}",
            f"다음 중 하나여야 합니다: {allowed}{_got(value, 'ko')}",
        )
    if kind in {"string_too_long", "too_long"}:
        unit, counter = ("characters", "자") if isinstance(value, str) else ("items", "개")
        most = limits["max_length"]
        return Text(
            f"must have at most {most} {unit}; got {len(value)}",
            f"최대 {most}{counter}까지 가능합니다. 현재 {len(value)}{counter}",
        )
    if kind == "too_short":
        least = limits["min_length"]
        return Text(
            f"must have at least {least} items; got {len(value)}",
            f"최소 {least}개가 필요합니다. 현재 {len(value)}개",
        )
    words = _TYPE_WORDS.get(kind)
    if words:
        return Text(f"must be {words.en}{_got(value, 'en')}", f"{words.ko}이어야 합니다{_got(value, 'ko')}")
    return _FIXED.get(kind, Text("has a value that does not fit", "값이 올바르지 않습니다"))


_FIXED = {
    "missing": Text("is required", "필수 항목입니다"),
    "finite_number": Text("must be a finite number", "유한한 수여야 합니다"),
}

_TYPE_WORDS = {
    "string_type": Text("a string", "문자열"),
    "int_type": Text("an integer", "정수"),
    "int_parsing_size": Text("a smaller integer", "더 작은 정수"),
    "float_type": Text("a number", "숫자"),
    "bool_type": Text("true or false", "true 또는 false"),
    "list_type": Text("a list", "배열"),
    "model_type": Text("an object", "객체"),
    "model_attributes_type": Text("an object", "객체"),
}


def _range(detail: Any, info: FieldInfo | None) -> Text:
    bounds = {**_bounds_of(info), **{k: v for k, v in detail["ctx"].items() if k in {"ge", "le"}}}
    low, high = (_number(bounds[key]) if key in bounds else None for key in ("ge", "le"))
    got_en, got_ko = _got(detail["input"], "en"), _got(detail["input"], "ko")
    if low is not None and high is not None:
        return Text(f"must be between {low} and {high}{got_en}", f"{low}에서 {high} 사이여야 합니다{got_ko}")
    if low is not None:
        return Text(f"must be at least {low}{got_en}", f"{low} 이상이어야 합니다{got_ko}")
    return Text(f"must be at most {high}{got_en}", f"{high} 이하여야 합니다{got_ko}")


def _bounds_of(info: FieldInfo | None) -> dict[str, float]:
    """The `ge` and `le` of a field."""
    found: dict[str, float] = {}
    for mark in info.metadata if info else ():
        for key in ("ge", "le"):
            if getattr(mark, key, None) is not None:
                found[key] = getattr(mark, key)
    return found


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _got(value: Any, language: str) -> str:
    """`; got 1.5`, and nothing for what would not fit on a line."""
    if isinstance(value, bool) or value is None:
        shown = {True: "true", False: "false", None: "null"}[value]
    elif isinstance(value, int | float):
        shown = _short(repr(value)) if abs(value) < 10**MAX_ECHO_CHARACTERS else ""
    elif isinstance(value, str):
        shown = f'"{_short(value)}"'
    else:
        shown = ""
    lead = {"en": "; got ", "ko": ". 입력값: "}[language]
    return f"{lead}{shown}" if shown else ""
