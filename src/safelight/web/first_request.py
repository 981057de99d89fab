"""The first request of a model: what its snippets send and its playground starts with."""

from __future__ import annotations

from typing import Any

from safelight.examples import PATH, examples_of
from safelight.inputs import image_fields
from safelight.jobs import Json
from safelight.models.base import Model

PROMPT = "a red house on snow at night"
PICTURE = "meadow.png"


def first_request(model: Model, schema: Json, base_url: str) -> Json:
    """An input that runs on this server, with no network: of the model's example what it must be given."""
    example = next(iter(examples_of(model.id)), None)
    known = example.body(base_url) if example else {}
    return {
        name: known[name] if name in known else _stand_in(model, name, schema["properties"][name], base_url)
        for name in schema["required"]
    }


def all_requests(model: Model, base_url: str) -> list[Json]:
    """Every example of a model, by name and input."""
    return [{"name": one.name, "input": one.body(base_url)} for one in examples_of(model.id)]


def _stand_in(model: Model, name: str, field: Json, base_url: str) -> Any:
    """A value for a field of a model that brings no example."""
    picture = f"{base_url}{PATH}{PICTURE}"
    is_image = name in image_fields(model.Input)
    if field["type"] == "array":
        return [picture] * max(1, field.get("minItems", 1)) if is_image else []
    if is_image:
        return picture
    if "default" in field:
        return field["default"]
    if "enum" in field:
        return field["enum"][0]
    return {"string": PROMPT, "boolean": False}.get(field["type"], field.get("minimum", 1))
