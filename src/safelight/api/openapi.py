"""The OpenAPI document: every route, and a path of its own for every model, with the model's own input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from safelight.api.documentation import BEARER
from safelight.inputs import ModelInput
from safelight.jobs import Json
from safelight.models.base import Model

SUBMIT = "/v1/models/{model_id}"


def complete(document: Json, models: Iterable[Model]) -> Json:
    """Add what the routes themselves do not say.

    A path's parameter cannot hold a slash, and a model's id does: whoever reads the document needs each.
    """
    document["components"]["securitySchemes"] = BEARER
    paths = document["paths"]
    for model in models:
        submit = paths[SUBMIT]["post"]
        others = [parameter for parameter in submit["parameters"] if parameter["in"] != "path"]
        schema = input_schema(model.Input)
        paths[f"/v1/models/{model.id}"] = {
            "post": submit
            | {
                "summary": f"Submit to {model.display_name}",
                "description": model.description.en,
                "operationId": f"submit {model.id}",
                "parameters": others,
                "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            }
        }
    return document


def input_schema(input_class: type[ModelInput]) -> Json:
    """The JSON schema of a model's input, in OpenAPI's words; the catalogue shows it in the hosted API's."""
    schema = input_class.model_json_schema()
    whole: Json = _resolved(schema, schema.get("$defs", {}))
    return whole


def _resolved(value: Any, definitions: Json) -> Any:
    """With what is defined at the side put in its place: a body's schema stands alone."""
    if isinstance(value, list):
        return [_resolved(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _resolved(definitions[value["$ref"].rsplit("/", 1)[-1]], definitions)
    return {name: _resolved(item, definitions) for name, item in value.items() if name != "$defs"}
