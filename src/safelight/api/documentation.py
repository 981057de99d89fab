"""What the OpenAPI document says of a route beyond its path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

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
    """The documentation of a route that answers with this shape, or with `Content`."""
    extra: Json = {"security": [{"bearer": []}] if needs_key else [], "parameters": list(parameters)}
    if body:
        extra["requestBody"] = body
    told: dict[str, Any] = {"tags": [tag], "status_code": status_code, "openapi_extra": extra}
    good: Json = {"model": shape}
    if isinstance(shape, Content):
        good = {"content": {kind: {"schema": shape.schema} for kind in shape.media_types}}
        told["response_class"] = Response  # of no media type: otherwise FastAPI adds JSON
    return told | {"responses": {status_code: good, "default": {"model": ErrorBody}}}


@dataclass(frozen=True)
class Content:
    """An answer that is no JSON."""

    media_types: tuple[str, ...]
    format: str = ""

    @property
    def schema(self) -> Json:
        """What OpenAPI calls such content."""
        return {"type": "string"} | ({"format": self.format} if self.format else {})


IMAGES = Content(("image/png", "image/jpeg", "image/webp"), "binary")
EVENTS = Content(("text/event-stream",))
TEXT = Content(("text/plain",))


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


def in_header(name: str, description: str) -> Json:
    """An optional header."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }


LANG = in_query("lang", "string")
