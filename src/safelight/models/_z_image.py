"""What both Z-Image-Turbo models share: where their weights come from."""

from __future__ import annotations

from collections.abc import Sequence

from safelight.complaints import Refused
from safelight.inputs import LoraRef
from safelight.models.base import Part, Weights
from safelight.texts import Text

_REAL = "Tongyi-MAI/Z-Image-Turbo"

Z_IMAGE_WEIGHTS = Weights(
    real={
        "transformer": Part(_REAL, "transformer"),
        "text_encoder": Part(_REAL, "text_encoder"),
        "tokenizer": Part(_REAL, "tokenizer"),
        "vae": Part(_REAL, "vae"),
        "scheduler": Part(_REAL, "scheduler"),
        "controlnet": Part("alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1", ""),
    },
    nano={
        "transformer": Part("z-image", "transformer"),
        "text_encoder": Part("shared", "text_encoder"),
        "tokenizer": Part("shared", "tokenizer"),
        "vae": Part("shared", "vae"),
        "scheduler": Part("z-image", "scheduler"),
        "controlnet": Part("z-image", "controlnet"),
    },
)


def refuse_loras(loras: Sequence[LoraRef]) -> None:
    """Refuse what would otherwise be ignored without a word."""
    if loras:
        raise Refused(
            Text(
                "LoRAs are not available in this version; send an empty list",
                "이 버전에서는 LoRA를 사용할 수 없습니다. 빈 배열을 보내세요",
            ),
            field="loras",
        )
