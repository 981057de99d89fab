"""What both Z-Image-Turbo models share: where their weights come from, and how control is asked for."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from safelight.complaints import Refused
from safelight.inputs import field
from safelight.models.base import Part, Weights
from safelight.texts import Text

_REAL = "Tongyi-MAI/Z-Image-Turbo"
_CONTROLNET = "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1"

Z_IMAGE_WEIGHTS = Weights(
    real={
        "transformer": Part(_REAL, "transformer", parameters=6_154_908_736),
        "text_encoder": Part(_REAL, "text_encoder", parameters=4_022_468_096),
        "tokenizer": Part(_REAL, "tokenizer"),
        "vae": Part(_REAL, "vae", parameters=83_819_683),
        "scheduler": Part(_REAL, "scheduler"),
        "controlnet": Part(_CONTROLNET, file="*-2.1-2602-8steps.safetensors", parameters=3_356_225_792),
        "depth": Part("depth-anything/Depth-Anything-V2-Small-hf"),
        "pose": Part("usyd-community/vitpose-base-simple"),
        "person_detector": Part("PekingU/rtdetr_r50vd_coco_o365"),
    },
    nano={
        "transformer": Part("z-image", "transformer"),
        "text_encoder": Part("shared", "text_encoder"),
        "tokenizer": Part("shared", "tokenizer"),
        "vae": Part("shared", "vae"),
        "scheduler": Part("z-image", "scheduler"),
        "controlnet": Part("z-image", "controlnet"),
        "depth": Part("preprocess", "depth"),
        "pose": Part("preprocess", "pose"),
    },
    optional=frozenset({"depth", "pose", "person_detector"}),
)


def control_scale_field(description: Text, *, default: float) -> Any:
    """How strongly the ControlNet speaks."""
    return field(Text("Control Scale", "제어 강도"), description, default=default, ge=0, le=1)


def control_start_field(description: Text) -> Any:
    """From which part of the steps on it speaks."""
    return field(Text("Control Start", "제어 시작"), description, default=0, ge=0, le=1)


def control_end_field(description: Text, *, default: float) -> Any:
    """Up to which part of the steps it speaks."""
    return field(Text("Control End", "제어 끝"), description, default=default, ge=0, le=1)


class _Controlled(Protocol):
    @property
    def control_start(self) -> float: ...

    @property
    def control_end(self) -> float: ...


Controlled = TypeVar("Controlled", bound=_Controlled)


def window_in_order(asked: Controlled) -> Controlled:
    """Refuse a control window that ends before it starts; a validator of the whole input."""
    start, end = asked.control_start, asked.control_end
    if start > end:
        raise Refused(
            Text(
                f"must not be greater than control_end; got {start} and {end}",
                f"control_end보다 클 수 없습니다. 입력값: {start}, {end}",
            ),
            field="control_start",
        )
    return asked
