"""The published schema of a model's input, in the dialect that clients of the hosted API know.

It is JSON Schema with a few habits of its own: the type `float`, `items` that list an object's fields
without saying so, `validations` with messages, and defaults that on required fields are example text.
"""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from safelight.inputs import ModelInput, Shown, Validation
from safelight.jobs import Json
from safelight.texts import Language

OUTPUT_SCHEMA: Json = {
    "output": {
        "type": "object",
        "properties": {
            "image": {"type": "string", "format": "uri", "description": "single image URL"},
            "video": {"type": "string", "format": "uri", "description": "single video URL"},
            "images": {
                "type": "array",
                "description": "multiple image URLs",
                "items": {"type": "string", "format": "uri"},
            },
            "videos": {
                "type": "array",
                "description": "multiple video URLs",
                "items": {"type": "string", "format": "uri"},
            },
        },
    }
}
"""The schema of `output`, the same for every model."""


def published_schema(input_class: type[ModelInput], language: Language = Language.EN) -> Json:
    """The input's schema in the dialect that clients of the hosted API know."""
    fields = input_class.model_fields
    return {
        "type": "object",
        "title": "Input",
        "required": [name for name, info in fields.items() if info.is_required()],
        "properties": {name: _property(info, language) for name, info in fields.items()},
    }


def _property(info: FieldInfo, language: Language) -> Json:
    shown: Shown = info.json_schema_extra  # type: ignore[assignment]
    annotation = _without_none(info.annotation)
    schema: Json = {
        "title": shown.title.within(language),
        "description": shown.description.within(language),
        "type": _type_name(annotation),
    }
    if shown.format:
        schema["format"] = shown.format
    if get_origin(annotation) is Literal:
        schema["enum"] = list(get_args(annotation))
    if get_origin(annotation) is list:
        schema["items"] = _items(get_args(annotation)[0], language)
    schema |= {_limit_name(name, schema["type"]): value for name, value in shown.limits.items()}
    default = shown.example if info.is_required() else info.default
    if default is not PydanticUndefined:
        schema["default"] = default
    if shown.validations:
        schema["validations"] = [_published(validation, language) for validation in shown.validations]
    return schema


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in {Union, types.UnionType}:
        return next(kind for kind in get_args(annotation) if kind is not type(None))
    return annotation


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "string"
    names = {str: "string", int: "integer", float: "float", bool: "boolean", list: "array"}
    return names[get_origin(annotation) or annotation]


def _items(annotation: Any, language: Language) -> Json:
    if isinstance(annotation, type) and issubclass(annotation, ModelInput):
        return {name: _property(info, language) for name, info in annotation.model_fields.items()}
    return {"type": "string", "format": "image_uri"}


def _limit_name(constraint: str, type_name: str) -> str:
    """What the dialect calls pydantic's constraint."""
    if constraint in {"ge", "le"}:
        return {"ge": "minimum", "le": "maximum"}[constraint]
    unit = "Items" if type_name == "array" else "Length"
    return constraint.removesuffix("_length") + unit


def _published(validation: Validation, language: Language) -> Json:
    return {
        "validation_rule": validation.rule,
        "validation_value": validation.value,
        "validation_error": validation.error.within(language),
    }
