"""What models accept: shared field types and strict validation.

A model's `Input` is a pydantic class whose fields are made with `field(...)`. From it follow the validation
of a submitted body (`parse`), the stored input of a job (`settled`, `accepted`) and, in `schema.py`, the
schema that is published.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticUndefined

from safelight.complaints import Refused, problems_of
from safelight.errors import FieldProblem, InvalidInput
from safelight.jobs import Json
from safelight.texts import NOTHING, Language, Text

FILE_SCHEME = "file:"
"""How an accepted input names a stored file: `file:<id>`."""

HOLES_SCHEME = "holes:"
"""How it names a file whose transparency is the mask: `holes:<id>`."""

MAX_PROMPT_CHARACTERS = 20_000
MAX_SEED = 2**53 - 1


class Body(BaseModel):
    """The base of everything that a request may send: strict types, no unknown fields."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,  # an error may end up in a log
    )

    @classmethod
    def parse(cls, data: object, language: Language = Language.EN) -> Self:
        """Validate a submitted body. Raises InvalidInput that names each field and what would work."""
        if not isinstance(data, dict):
            raise InvalidInput(_NO_OBJECT)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            problems = problems_of(error, cls.model_fields, language)
            raise InvalidInput(_summary(problems, language), fields=problems) from None


class ModelInput(Body):
    """The base of every model's input."""

    @classmethod
    def accepted(cls, data: Json) -> Self:
        """Read the stored input of an accepted job."""
        return cls.model_validate(data)

    def settled(self) -> Json:
        """This input as JSON, defaults filled in and a seed drawn where none was given."""
        data = self.model_dump(mode="json")
        if "seed" in data and data["seed"] is None:
            data["seed"] = secrets.randbelow(2**31)
        return data


_NO_OBJECT = Text("The body must be a JSON object.", "본문은 JSON 객체여야 합니다.")


def _summary(problems: tuple[FieldProblem, ...], language: Language) -> str:
    first = problems[0]
    message = first.within(language)
    return f"{first.field} {message}" if first.field else message


# --- Field types --------------------------------------------------------------------------------------


def _whole_number(value: object) -> object:
    """JSON has one kind of number: 8.0 is an integer too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain_text(value: str) -> str:
    if "\0" in value:
        raise Refused(Text("must not contain NUL characters", "NUL 문자를 포함할 수 없습니다"))
    try:
        value.encode()  # lone surrogates cannot be; a loop over a data URI would take seconds
    except UnicodeEncodeError:
        raise Refused(Text("must be valid Unicode text", "올바른 유니코드 텍스트여야 합니다")) from None
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise Refused(Text("must not be empty", "비워 둘 수 없습니다"))
    return value


def _within_seed_range(value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MAX_SEED:
        raise Refused(
            Text(
                f"must be between 0 and {MAX_SEED}, or null", f"0에서 {MAX_SEED} 사이이거나 null이어야 합니다"
            )
        )
    return value


@dataclass(frozen=True)
class ImageReference:
    """Marks a field whose value names an image: a URL, a data URI or, once accepted, a stored file.

    backdrop: the colour that shows through where the image is transparent.
    """

    backdrop: str = "white"

    @property
    def is_mask(self) -> bool:
        """Whether it says where to paint: then what is not painted at all must not count as white."""
        return self.backdrop == "black"


PlainText = Annotated[str, AfterValidator(_plain_text)]
Prompt = Annotated[PlainText, AfterValidator(_not_blank), Field(max_length=MAX_PROMPT_CHARACTERS)]
NegativePrompt = Annotated[PlainText, Field(max_length=MAX_PROMPT_CHARACTERS)]
ImageUrl = Annotated[PlainText, AfterValidator(_not_blank), ImageReference()]
MaskUrl = Annotated[PlainText, AfterValidator(_not_blank), ImageReference(backdrop="black")]
Integer = Annotated[int, BeforeValidator(_whole_number)]
Seed = Annotated[int | None, BeforeValidator(_whole_number), AfterValidator(_within_seed_range)]
ImageSize = Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]
ImageSizeOrAuto = Literal[ImageSize, "auto"]
OutputFormat = Literal["jpeg", "png", "webp"]

PIXELS: Mapping[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
"""Width and height of the named image sizes."""


@dataclass(frozen=True)
class Validation:
    """A rule on a fetched image, as the schema publishes it, with the message that a broken one gives."""

    rule: str
    value: int
    error: Text


@dataclass(frozen=True)
class Shown:
    """What the published schema says of a field beyond its type."""

    title: Text
    description: Text
    example: Any
    format: str | None
    validations: tuple[Validation, ...]
    limits: Mapping[str, float]

    def __call__(self, schema: Json) -> None:
        """Put the English words into the field's JSON schema, which the OpenAPI document shows."""
        schema["title"] = self.title.en
        if self.description.en:
            schema["description"] = self.description.en


def field(
    title: Text,
    description: Text = NOTHING,
    *,
    default: Any = PydanticUndefined,
    example: Any = PydanticUndefined,
    format: str | None = None,
    validations: tuple[Validation, ...] = (),
    optional_list: bool = False,
    **constraints: Any,
) -> Any:
    """Declare an input field.

    default: used when the field is left out. example: shown as the default of a required field, for forms.
    optional_list: the field may be left out and is then empty; no default is published.
    constraints: pydantic's `ge`, `le`, `min_length`, `max_length`; they are published.
    """
    shown = Shown(title, description, example, format, validations, constraints)
    if optional_list:
        return Field(default_factory=list, json_schema_extra=shown, **constraints)
    return Field(default, json_schema_extra=shown, **constraints)


class LoraRef(ModelInput):
    """One LoRA of a request."""

    path: Annotated[PlainText, AfterValidator(_not_blank)] = field(
        Text("LoRA Path", "LoRA 경로"),
        Text(
            "URL, HuggingFace repo ID (owner/repo) to lora weights.",
            "LoRA 가중치의 URL 또는 HuggingFace 저장소 ID(owner/repo).",
        ),
        example="",
        format="str",
    )
    scale: float = field(
        Text("LoRA Scale", "LoRA 강도"),
        Text("Scale of the LoRA model.", "LoRA 모델의 강도."),
        default=1,
        format="float_slider_with_range",
        ge=0,
        le=4,
    )


class LocalLoraRef(LoraRef):
    """One LoRA of a request, which may also lie on the server."""

    path: Annotated[PlainText, AfterValidator(_not_blank)] = field(
        Text("LoRA Path", "LoRA 경로"),
        Text(
            "URL, HuggingFace repo ID (owner/repo), or local path to LoRA weights.",
            "LoRA 가중치의 URL, HuggingFace 저장소 ID(owner/repo) 또는 로컬 경로.",
        ),
        example="",
        format="str",
    )


# --- Fields that several models have in common ----------------------------------------------------------


def prompt_field(example: str) -> Any:
    """A required prompt; the example is what a form starts with."""
    return field(Text("Prompt", "프롬프트"), example=example)


def seed_field(default: int | None) -> Any:
    """A seed; null draws one, and the result tells which."""
    return field(Text("Seed", "시드"), default=default)


def output_format_field(description: Text) -> Any:
    """The file format of the output, PNG by default."""
    return field(Text("Output Format", "출력 형식"), description, default="png")


def aspect_ratio_field() -> Any:
    """A named size, or `auto` for the input image's own."""
    return field(Text("Aspect Ratio (W:H)", "화면 비율 (가로:세로)"), default="auto")


def steps_field(description: Text, *, default: int, most: int) -> Any:
    """How many denoising steps are run, from 1 to `most`."""
    return field(
        Text("Number of Inference Steps", "추론 단계 수"), description, default=default, ge=1, le=most
    )


def loras_field(**more: Any) -> Any:
    """Up to three LoRAs; more: what `field` takes besides."""
    title = Text("LoRAs", "LoRA 목록")
    description = Text("List of LoRAs to apply (maximum 3).", "적용할 LoRA 목록(최대 3개).")
    return field(title, description, max_length=3, min_length=0, **more)


@cache
def image_fields(input_class: type[ModelInput]) -> Mapping[str, ImageReference]:
    """The fields that hold an image's URL or a list of them, by name."""
    found = {
        name: _image_mark(info.metadata) or _image_mark(_metadata_of_items(info.annotation))
        for name, info in input_class.model_fields.items()
    }
    return {name: mark for name, mark in found.items() if mark}


def image_rules(input_class: type[ModelInput], name: str) -> tuple[Validation, ...]:
    """The rules that a field publishes for its images."""
    shown: Any = input_class.model_fields[name].json_schema_extra
    rules: tuple[Validation, ...] = shown.validations
    return rules


def _image_mark(metadata: Sequence[Any]) -> ImageReference | None:
    return next((mark for mark in metadata if isinstance(mark, ImageReference)), None)


def _metadata_of_items(annotation: Any) -> tuple[Any, ...]:
    return getattr(get_args(annotation)[0], "__metadata__", ()) if get_origin(annotation) is list else ()
