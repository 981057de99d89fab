"""Wan 2.6 image to image: a new picture from one to three ordered references."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from safelight.inputs import (
    ImageUrl,
    ModelInput,
    NegativePrompt,
    Prompt,
    Seed,
    Validation,
    field,
)
from safelight.models.base import Model, Part, Weights
from safelight.texts import NOTHING, Text

_EXAMPLE_PROMPT = (
    "On the left sits a monster, and on the right sits another monster. The two of them are like radio "
    "hosts, wearing headphones and sitting in a recording studio, discussing a topic."
)

_SIDE_AT_LEAST = Text(
    "Each image side must be at least 384 pixels.", "각 이미지 변은 최소 384픽셀이어야 합니다."
)
_SIDE_AT_MOST = Text(
    "Each image side must be at most 5000 pixels.", "각 이미지 변은 최대 5000픽셀이어야 합니다."
)

WanSize = Literal[
    "1024*1024 (1:1)",
    "800*1200 (2:3)",
    "1200*800 (3:2)",
    "960*1280 (3:4)",
    "1280*960 (4:3)",
    "720*1280 (9:16)",
    "1280*720 (16:9)",
    "1344*576 (21:9)",
]


class WanInput(ModelInput):
    """What the model accepts."""

    prompt: Annotated[Prompt, Field(max_length=1999)] = field(
        Text("Prompt", "프롬프트"),
        Text(
            "Text prompt that describes the image you want. Must be shorter than 2000 characters.",
            "원하는 이미지를 설명하는 텍스트 프롬프트. 2000자 미만이어야 합니다.",
        ),
        example=_EXAMPLE_PROMPT,
    )
    image_urls: list[ImageUrl] = field(
        Text("Reference Images", "참조 이미지"),
        Text(
            "Reference images to edit. Their order matters: refer to them in the prompt as 'image 1', "
            "'image 2', 'image 3'.",
            "편집용 참조 이미지. 순서가 중요합니다: "
            "프롬프트에서 '이미지 1', '이미지 2', '이미지 3'으로 참조하세요.",
        ),
        example=[
            "https://playgrounds-storage-public.runcomfy.net/tools/7305/media-files/input-1-1.png",
            "https://playgrounds-storage-public.runcomfy.net/tools/7305/media-files/input-1-2.png",
        ],
        validations=(
            Validation(
                "file_size_mb<",
                10,
                Text("The file must be smaller than 10 MB.", "파일 크기는 10MB 미만이어야 합니다."),
            ),
            Validation("width_pixels>", 384, _SIDE_AT_LEAST),
            Validation("height_pixels>", 384, _SIDE_AT_LEAST),
            Validation("width_pixels<", 5000, _SIDE_AT_MOST),
            Validation("height_pixels<", 5000, _SIDE_AT_MOST),
        ),
        min_length=1,
        max_length=3,
    )
    negative_prompt: NegativePrompt = field(
        Text("Negative Prompt", "네거티브 프롬프트"),
        Text("What to avoid in the generated image.", "생성된 이미지에서 피할 내용."),
        default="low resolution, error, worst quality, low quality, deformed, extra fingers",
        max_length=500,
    )
    image_size: WanSize = field(
        Text("Aspect Ratio (W:H)", "화면 비율 (가로:세로)"), NOTHING, default="1024*1024 (1:1)"
    )
    seed: Seed = field(
        Text("Seed", "시드"),
        Text(
            "Random seed for reproducibility. The same seed gives more consistent results.",
            "재현성을 위한 랜덤 시드. 동일한 시드는 더 일관된 결과를 생성합니다.",
        ),
        default=0,
        ge=0,
        le=2147483647,
    )
    prompt_extend: bool = field(
        Text("Magic Prompt", "매직 프롬프트"),
        Text(
            "Whether to expand the prompt. When on, magic prompt rewrites it in more detail.",
            "프롬프트를 확장할지 여부. 활성화하면 프롬프트가 매직 프롬프트로 확장됩니다.",
        ),
        default=True,
    )


_STAND_IN = "black-forest-labs/FLUX.2-klein-4B"


class WanImageToImage(Model):
    """Wan 2.6, drawn by its vendor's API or by a local stand-in."""

    id = "wan-ai/wan-2-6/image-to-image"
    display_name = "Wan 2.6 Image to Image"
    description = Text(
        "Makes a new picture out of one to three reference images and a prompt that names them in order.",
        "참조 이미지 1~3장과 이를 순서대로 가리키는 프롬프트로 새 이미지를 만듭니다.",
    )
    categories = ("image-to-image",)
    licence = "Apache-2.0"
    weights = Weights(
        real={
            name: Part(_STAND_IN, name)
            for name in ("transformer", "text_encoder", "tokenizer", "vae", "scheduler")
        }
    )
    gpu_memory_gib = 14.0
    Input = WanInput
