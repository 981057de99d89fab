"""What an OpenAI image request asks for: that API's own fields, files, and fields of the model besides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from safelight.api.body import parse_json
from safelight.errors import FieldProblem, InvalidInput, UnsupportedMediaType
from safelight.inputs import Integer, ModelInput, OutputFormat, PlainText, Prompt, field
from safelight.jobs import Json
from safelight.texts import Language, Text

if TYPE_CHECKING:
    from python_multipart.multipart import Field as FormField
    from python_multipart.multipart import File as FormFile

MAX_PARTS = 64
MAX_TEXT_BYTES = 10**6


Quality = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]


class ImagesInput(ModelInput):
    """That API's fields. What it says beyond them is the model's own."""

    prompt: Prompt = field(Text("Prompt", "프롬프트"))
    model: PlainText | None = field(Text("Model", "모델"), default=None)
    n: Integer | None = field(Text("Number of Images", "이미지 수"), default=1, ge=1, le=10)
    size: PlainText | None = field(Text("Size", "크기"), default="auto")
    quality: Quality | None = field(Text("Quality", "품질"), default="auto")
    response_format: Literal["url", "b64_json"] | None = field(
        Text("Response Format", "응답 형식"), default=None
    )
    output_format: OutputFormat | None = field(Text("Output Format", "출력 형식"), default=None)
    background: Literal["auto", "opaque"] | None = field(Text("Background", "배경"), default="auto")
    stream: Literal[False] | None = field(Text("Stream", "스트림"), default=False)


NO_EFFECT = frozenset(
    {
        "user",
        "style",
        "moderation",
        "output_compression",
        "input_fidelity",
        "partial_images",
        "safety_identifier",
    }
)
"""What that API has and no model here: accepted, so that its clients work."""


@dataclass(frozen=True)
class Asked:
    """One request. own: fields of the model that came beside that API's."""

    input: ImagesInput
    own: Json
    images: tuple[bytes, ...] = ()
    mask: bytes | None = None

    @property
    def count(self) -> int:
        """How many images are wanted."""
        return self.input.n or 1

    @property
    def wants_base64(self) -> bool:
        """Whether the images shall be in the answer: `gpt-image` models never give URLs."""
        is_named_so = (self.input.model or "").startswith(("gpt-image", "chatgpt-image"))
        default = "b64_json" if is_named_so else "url"
        return (self.input.response_format or default) == "b64_json"


def read_generation(body: bytes, language: Language) -> Asked:
    """Read the JSON body of a generation. Raises InvalidJson and InvalidInput."""
    value = parse_json(body)
    if not isinstance(value, dict):
        return Asked(ImagesInput.parse(value, language), {})
    return _asked(value, language)


def _asked(
    value: Json, language: Language, images: tuple[bytes, ...] = (), mask: bytes | None = None
) -> Asked:
    theirs = {name: given for name, given in value.items() if name in ImagesInput.model_fields}
    own = {name: given for name, given in value.items() if name not in theirs and name not in NO_EFFECT}
    return Asked(ImagesInput.parse(theirs, language), own, images, mask)


# --- Forms ----------------------------------------------------------------------------------------------


def read_edit(body: bytes, content_type: str, language: Language) -> Asked:
    """Read the form of an edit. Raises UnsupportedMediaType and InvalidInput."""
    value, images, mask = _read_form(body, content_type)
    for name in ("n", "stream"):
        if name in value:
            value[name] = _plain(value[name])
    if not images:
        raise _refusal(
            "image",
            Text("is required: a PNG, JPEG or WebP file", "필수 항목입니다: PNG, JPEG 또는 WebP 파일"),
        )
    return _asked(value, language, tuple(images), mask)


def plain_value(text: str, kind: str) -> Any:
    """A form has only text: what a model's field of another type gets, where that can be read."""
    return text if kind == "string" else _plain(text)


def _plain(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text  # the field's own validation says what it must be


def _read_form(body: bytes, content_type: str) -> tuple[Json, list[bytes], bytes | None]:
    texts, files = _parts_of(body, content_type)
    images: list[bytes] = []
    mask: bytes | None = None
    for part in files:
        name = _name(part.field_name)
        if name in ("image", "image[]"):
            images.append(_bytes_of(part))
        elif name == "mask":
            mask = _bytes_of(part)
        else:
            raise _refusal(
                name,
                Text(
                    "takes no file; files are image, image[] and mask",
                    "파일을 받지 않습니다. 파일은 image, image[], mask입니다",
                ),
            )
    return dict(map(_text_of, texts)), images, mask


def _parts_of(body: bytes, content_type: str) -> tuple[list[FormField], list[FormFile]]:
    from python_multipart.multipart import FormParser, parse_options_header  # Late: few servers need it.

    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UnsupportedMediaType(_NO_FORM)
    if body.count(b"--" + boundary) > MAX_PARTS + 1:
        raise InvalidInput(_TOO_MANY_PARTS)
    texts: list[FormField] = []
    files: list[FormFile] = []
    keep = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}  # never on the disk
    try:
        parser = FormParser(kind.decode(), texts.append, files.append, boundary=boundary, config=keep)
        parser.write(body)
        parser.finalize()
    except Exception:  # The parser meets hostile bytes with assertions and errors of any kind.
        raise InvalidInput(_BROKEN_FORM) from None
    return texts, files


def _text_of(part: FormField) -> tuple[str, str]:
    data = part.value or b""
    name = _name(part.field_name)
    if len(data) > MAX_TEXT_BYTES:
        raise _refusal(
            name,
            Text(f"is over {MAX_TEXT_BYTES // 1000} KB", f"{MAX_TEXT_BYTES // 1000}KB를 넘습니다"),
        )
    try:
        return name, data.decode()
    except UnicodeDecodeError:
        raise _refusal(name, Text("must be UTF-8", "UTF-8이어야 합니다")) from None


def _bytes_of(part: FormFile) -> bytes:
    part.file_object.seek(0)
    return part.file_object.read()


def _name(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


_NO_FORM = Text("Send the body as multipart/form-data.", "본문을 multipart/form-data로 보내 주세요.")
_TOO_MANY_PARTS = Text(f"The form has more than {MAX_PARTS} parts.", f"폼의 항목이 {MAX_PARTS}개를 넘습니다.")
_BROKEN_FORM = Text(
    "The body is no well-formed multipart/form-data.", "본문이 올바른 multipart/form-data가 아닙니다."
)


def _refusal(name: str, message: Text) -> InvalidInput:
    return InvalidInput(message.after(f"{name} "), fields=(FieldProblem(name, message),))
