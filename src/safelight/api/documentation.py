"""What the OpenAPI document says of a route beyond its path."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from safelight.api.shapes import ErrorBody
from safelight.jobs import Json

BEARER = {"bearer": {"type": "http", "scheme": "bearer", "description": "An API key of this server."}}
BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
"""A submission's body: each model's own schema is in the catalogue."""


def body_of(form: type[BaseModel]) -> Json:
    """A JSON body of this form."""
    return {"required": True, "content": {"application/json": {"schema": form.model_json_schema()}}}


def documented(
    shape: Any,
    tag: str,
    *parameters: Json,
    status_code: int = 200,
    body: Json | None = None,
    needs_key: bool = True,
) -> dict[str, Any]:
    """The documentation of a route that answers with this shape."""
    extra: Json = {"security": [{"bearer": []}] if needs_key else [], "parameters": list(parameters)}
    if body:
        extra["requestBody"] = body
    return {
        "tags": [tag],
        "status_code": status_code,
        "responses": {status_code: {"model": shape}, "default": {"model": ErrorBody}},
        "openapi_extra": extra,
    }


def in_body(properties: Json, required: tuple[str, ...], media_type: str = "application/json") -> Json:
    """A body of named fields."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"required": True, "content": {media_type: {"schema": schema}}}


def in_path(name: str) -> Json:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def in_query(name: str, kind: str) -> Json:
    """An optional query parameter of a JSON type."""
    return {"name": name, "in": "query", "required": False, "schema": {"type": kind}}


LANG = in_query("lang", "string")
