"""Wan 2.6 image to image: a new picture from one to three ordered references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

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
from safelight.models.base import LoadContext, Model, Part, Run, Weights
from safelight.texts import NOTHING, Text

if TYPE_CHECKING:
    from PIL import Image

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


def _pixels(size: str) -> tuple[int, int]:
    """`1344*576 (21:9)` → (1344, 576)"""
    width, height = size.split(" ")[0].split("*")
    return int(width), int(height)


WAN_PIXELS = {size: _pixels(size) for size in get_args(WanSize)}
"""Width and height of Wan's image sizes."""

DEFAULT_NEGATIVE_PROMPT = "low resolution, error, worst quality, low quality, deformed, extra fingers"


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
        default=DEFAULT_NEGATIVE_PROMPT,
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
        "Makes a new picture out of one to three reference images and a prompt that names them in order. "
        "Wan 2.6 has no open weights: with a key for its vendor's API the real one draws, without a key a "
        "local stand-in does (FLUX.2 klein). Every result says which.",
        "참조 이미지 1~3장과 이를 순서대로 가리키는 프롬프트로 새 이미지를 만듭니다. Wan 2.6의 가중치는 "
        "공개되지 않았습니다. 제공사 API 키가 있으면 실제 Wan 2.6이, 없으면 로컬 대체 모델(FLUX.2 klein)이 "
        "그립니다. 어느 쪽이 그렸는지는 결과에 표시됩니다.",
    )
    categories = ("image-to-image",)
    licence = "Apache-2.0"
    weights = Weights(
        real={
            "transformer": Part(_STAND_IN, "transformer", parameters=3_875_544_576),
            "text_encoder": Part(_STAND_IN, "text_encoder", parameters=4_022_468_096),
            "tokenizer": Part(_STAND_IN, "tokenizer"),
            "vae": Part(_STAND_IN, "vae", parameters=84_046_115),
            "scheduler": Part(_STAND_IN, "scheduler"),
            "index": Part(_STAND_IN, file="model_index.json"),
        },
        nano={
            "transformer": Part("klein", "transformer"),
            "text_encoder": Part("shared", "text_encoder"),
            "tokenizer": Part("shared", "tokenizer"),
            "vae": Part("shared", "vae"),
            "scheduler": Part("klein", "scheduler"),
        },
    )
    gpu_memory_gib = 14.0
    Input = WanInput
    upstream = "wan2.6-image"

    def output_size(self, request: Any) -> tuple[int, int]:
        """The size that stands in the request."""
        return WAN_PIXELS[request.image_size]

    def load(self, context: LoadContext) -> Any:
        """Build diffusers' pipeline around the parts that the other models have loaded too."""
        from diffusers import (
            AutoencoderTiny,
            FlowMatchEulerDiscreteScheduler,
            Flux2KleinPipeline,
            Flux2Transformer2DModel,
        )
        from transformers import Qwen2Tokenizer, Qwen3Model

        from safelight.engine.klein import autoencoder
        from safelight.engine.language_model import as_language_model

        pipeline = Flux2KleinPipeline(
            scheduler=context.part("scheduler", FlowMatchEulerDiscreteScheduler),
            vae=autoencoder(context.part("vae", AutoencoderTiny)),
            text_encoder=as_language_model(context.part("text_encoder", Qwen3Model)),
            tokenizer=context.part("tokenizer", Qwen2Tokenizer),
            transformer=context.part("transformer", Flux2Transformer2DModel),
            is_distilled=context.values("index").get("is_distilled", context.weights_name == "real"),
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def generate(self, pipeline: Any, request: WanInput, run: Run) -> list[Image.Image]:
        """Draw one image of exactly the asked size from the references, in their order, with the stand-in."""
        from safelight.engine import klein
        from safelight.engine.drawing import draw
        from safelight.engine.expansion import expand_prompt
        from safelight.engine.little_world import note_strange_words

        run.note("Drawn by a local stand-in for Wan 2.6 (FLUX.2 klein), not by Wan 2.6 itself.")
        recipe = klein.recipe_of(pipeline)
        note_strange_words(run, request.prompt)
        prompt = expand_prompt(pipeline, run, request.prompt) if request.prompt_extend else request.prompt
        if klein.is_cut(pipeline, prompt):
            run.note(f"The prompt was cut after {recipe.max_tokens} tokens.")
        guidance: dict[str, Any] = {"guidance_scale": recipe.guidance_scale}
        if recipe.guidance_scale > 1:
            guidance["negative_prompt_embeds"] = klein.embedded(pipeline, request.negative_prompt)
        elif request.negative_prompt not in ("", DEFAULT_NEGATIVE_PROMPT):
            run.note("The negative prompt had no effect: the stand-in is distilled and takes none.")
        asked = self.output_size(request)
        canvas = klein.canvas(recipe, asked, pipeline.vae_scale_factor * 2)
        image = draw(
            pipeline,
            run,
            canvas,
            klein.unpack,
            prompt_embeds=klein.embedded(pipeline, prompt),
            image=[klein.reference(image, recipe, canvas.asked) for image in run.images["image_urls"]],
            num_inference_steps=recipe.num_inference_steps,
            **guidance,
        )
        return [klein.enlarged(image, asked)]
