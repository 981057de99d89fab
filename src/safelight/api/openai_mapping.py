"""From an OpenAI image request to a model of the catalogue and its input.

What a model takes, its `Input` says; so a model of one's own is served like the shipped ones.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator
from typing import Any, get_args

from safelight.api.openai_request import Asked, plain_value
from safelight.errors import FieldProblem, InvalidInput
from safelight.inputs import PIXELS, image_fields
from safelight.jobs import Json
from safelight.models import Catalogue
from safelight.models.base import Model
from safelight.schema import published_schema
from safelight.texts import Language, Text

ALIASES = ("dall-e", "gpt-image", "chatgpt-image")
"""What the names of that API's own models start with: they stand for the model that does what is asked."""

GENERATION = "aidc-ai/ovis-image"
EDIT = "wan-ai/wan-2-6/image-to-image"
EDIT_WITH_MASK = "tongyi-mai/z-image/turbo/inpainting/lora"

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


# --- Which model ----------------------------------------------------------------------------------------


def model_for(asked: Asked, catalogue: Catalogue) -> Model:
    """The model that is named, else the one for what is asked. Raises ModelNotFound and InvalidInput."""
    name = asked.input.model or ""
    if not name or name.startswith(ALIASES):
        return _usual(asked, catalogue)
    model = catalogue.get(name)
    picture, mask = image_field_names(model)
    if asked.images and not picture:
        raise _refusal("model", _TAKES_NO_IMAGE.after(name))
    if picture and not asked.images and picture not in asked.own and _is_required(model, picture):
        raise _refusal("model", _NEEDS_AN_IMAGE.after(name))
    if asked.mask is not None and not mask:
        raise _refusal("mask", _TAKES_NO_MASK.after(name))
    return model


def _usual(asked: Asked, catalogue: Catalogue) -> Model:
    """The usual model for this; for a prompt alone, where that is not ready, the first one that is."""
    if asked.images:
        return catalogue.get(EDIT if asked.mask is None else EDIT_WITH_MASK)
    usual = catalogue.get(GENERATION)
    others = (model for model in catalogue.all() if image_field_names(model) == (None, None))
    ready = [model for model in (usual, *others) if catalogue.weights_of(model) is not None]
    return ready[0] if ready else usual


def image_field_names(model: Model) -> tuple[str | None, str | None]:
    """The fields of a model's input for the picture (or pictures) and for the mask."""
    marks = image_fields(model.Input)
    pictures = (name for name, mark in marks.items() if not mark.is_mask)
    masks = (name for name, mark in marks.items() if mark.is_mask)
    return next(pictures, None), next(masks, None)


# --- Its input ------------------------------------------------------------------------------------------


def inputs_for(asked: Asked, model: Model) -> Iterator[Json]:
    """One input of the model for each image that is wanted, with seeds that differ."""
    fields = model.Input.model_fields
    value: Json = {"prompt": asked.input.prompt} if "prompt" in fields else {}
    value |= _images(asked, model) | _size(asked, model) | _steps(asked, model) | _format(asked, model)
    if "seed" in fields:
        value["seed"] = None
    value |= {name: [] for name, info in fields.items() if name == "loras" and info.is_required()}
    value |= _own(asked, model)
    seed = value.get("seed")
    for number in range(asked.count):
        # A seed of one's own gives the first image; null draws one for each.
        yield value | {"seed": seed + number} if isinstance(seed, int) else value


def _images(asked: Asked, model: Model) -> Json:
    picture, mask = image_field_names(model)
    value: Json = {}
    if picture and asked.images:
        uris = [_data_uri(image) for image in asked.images]
        value[picture] = uris if _is_list(model, picture) else uris[0]
        if len(uris) > 1 and not _is_list(model, picture):
            raise _refusal(
                "image",
                Text(
                    f"must be one file; {model.id} takes one",
                    f"파일 하나여야 합니다. {model.id}은(는) 하나만 받습니다",
                ),
            )
    if mask and asked.images:
        value[mask] = _data_uri(asked.images[0] if asked.mask is None else asked.mask)
    return value


def _data_uri(data: bytes) -> str:
    # Which of the formats it is, its content tells.
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _size(asked: Asked, model: Model) -> Json:
    """The size that a model has: the one that is asked for, else the nearest in shape and then in area."""
    if "image_size" not in model.Input.model_fields:
        return {}
    names = get_args(model.Input.model_fields["image_size"].annotation)
    text = asked.input.size or "auto"
    if text == "auto":
        return {"image_size": "auto"} if "auto" in names else {}
    match = _SIZE.fullmatch(text)
    if not match:
        raise _refusal(
            "size", Text("must be like 1024x1024, or auto", "1024x1024와 같은 형식이거나 auto여야 합니다")
        )
    width, height = int(match[1]), int(match[2])
    sizes = {name: _pixels(name) for name in names if name != "auto"}
    if not sizes:
        return {}
    return {"image_size": min(sizes, key=lambda name: _distance(sizes[name], (width, height)))}


def _pixels(name: str) -> tuple[int, int]:
    """Of a named size, or of one like `1344*576 (21:9)`."""
    if name in PIXELS:
        return PIXELS[name]
    width, height = re.findall(r"\d+", name)[:2]
    return int(width), int(height)


def _distance(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
    shapes = math.log(one[0] / one[1]), math.log(other[0] / other[1])
    areas = math.log(one[0] * one[1]), math.log(other[0] * other[1])
    return round(abs(shapes[0] - shapes[1]), 6), abs(areas[0] - areas[1])


def _steps(asked: Asked, model: Model) -> Json:
    """Quality is steps: `low` half of the usual ones, everything above `high` the most that there are."""
    info = model.Input.model_fields.get("num_inference_steps")
    if info is None or asked.input.quality in (None, "auto", "medium", "standard"):
        return {}
    if asked.input.quality == "low":
        return {"num_inference_steps": max(1, info.default // 2)}
    most = [bound.le for bound in info.metadata if hasattr(bound, "le")]
    return {"num_inference_steps": most[0]} if most else {}


def _format(asked: Asked, model: Model) -> Json:
    wanted = asked.input.output_format
    if wanted is None:
        return {}
    if "output_format" in model.Input.model_fields:
        return {"output_format": wanted}
    if wanted != "png":
        raise _refusal(
            "output_format",
            Text(
                f"must be png; {model.id} makes nothing else",
                f"png여야 합니다. {model.id}은(는) png만 만듭니다",
            ),
        )
    return {}


def _own(asked: Asked, model: Model) -> Json:
    """The model's own fields; in a form all of them are text."""
    if not asked.images:
        return asked.own
    kinds: Json = published_schema(model.Input, Language.EN)["properties"]
    return {
        name: plain_value(text, kinds.get(name, {}).get("type", "string")) for name, text in asked.own.items()
    }


def _is_list(model: Model, name: str) -> bool:
    annotation: Any = model.Input.model_fields[name].annotation
    return getattr(annotation, "__origin__", None) is list


def _is_required(model: Model, name: str) -> bool:
    return model.Input.model_fields[name].is_required()


_TAKES_NO_IMAGE = Text(
    " takes no image; send this to /v1/images/generations",
    "은(는) 이미지를 받지 않습니다. /v1/images/generations로 보내 주세요",
)
_NEEDS_AN_IMAGE = Text(
    " needs an image; send this to /v1/images/edits",
    "에는 이미지가 필요합니다. /v1/images/edits로 보내 주세요",
)
_TAKES_NO_MASK = Text(" takes no mask", "은(는) 마스크를 받지 않습니다")


def _refusal(name: str, message: Text) -> InvalidInput:
    return InvalidInput(message.after(f"{name}: "), fields=(FieldProblem(name, message),))
