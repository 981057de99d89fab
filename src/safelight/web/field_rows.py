"""A schema as rows of a table: what each field takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from safelight.jobs import Json


@dataclass(frozen=True)
class FieldRow:
    """One field.

    default: as JSON; None: there is none. least, most: of a number's value or a list's length.
    """

    name: str
    title: str
    description: str
    type: str
    is_required: bool
    default: str | None
    choices: tuple[str, ...]
    least: Any
    most: Any
    longest: int | None
    rules: tuple[str, ...]


def field_rows(schema: Json) -> tuple[FieldRow, ...]:
    """The fields in the schema's order; those of a list's items come after the list."""
    return tuple(_rows(schema["properties"], schema["required"], ""))


def _rows(properties: Json, required: list[str], prefix: str) -> Iterator[FieldRow]:
    for name, field in properties.items():
        yield _row(prefix + name, field, is_required=name in required)
        items = field.get("items", {})
        if items and "type" not in items:  # The dialect: an object's fields, without saying so.
            needed = [inner for inner, about in items.items() if about.get("default") in (None, "")]
            yield from _rows(items, needed, f"{prefix}{name}[].")


def _row(name: str, field: Json, *, is_required: bool) -> FieldRow:
    has_default = "default" in field and not is_required
    return FieldRow(
        name=name,
        title=field["title"],
        description=field["description"],
        type=_type(field),
        is_required=is_required,
        default=json.dumps(field["default"], ensure_ascii=False) if has_default else None,
        choices=tuple(field.get("enum", ())),
        least=field.get("minimum", field.get("minItems")),
        most=field.get("maximum", field.get("maxItems")),
        longest=field.get("maxLength"),
        rules=tuple(dict.fromkeys(rule["validation_error"] for rule in field.get("validations", ()))),
    )


def _type(field: Json) -> str:
    items = field.get("items", {})
    if field["type"] == "array":
        return f"array<{items.get('type', 'object')}>"
    return str(field["type"])
