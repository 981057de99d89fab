"""Ovis-Image: text to image with real classifier-free guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safelight.inputs import (
    ImageSize,
    Integer,
    ModelInput,
    NegativePrompt,
    OutputFormat,
    Prompt,
    Seed,
    field,
    output_format_field,
    prompt_field,
    seed_field,
    steps_field,
)
from safelight.models.base import LoadContext, Model, Part, Run, Weights
from safelight.texts import Text

if TYPE_CHECKING:
    from PIL import Image

_EXAMPLE_PROMPT = (
    "A casually captured spontaneous iPhone photograph featuring an individual standing relaxed with arms"
    " gently crossed on a lightly grassy alpine slope beside rugged rocky formations. The subject wears a"
    " burgundy windbreaker jacket with an Arc'teryx logo, elastic cuffs, and a full-length zipper, "
    "crafted from durable water-resistant fabric realistically creased and subtly weathered with slight "
    "dirt marks. Loose, khaki cargo pants provide a comfortable fit, textured with natural creases and "
    "faint soil traces near the hems. Chunky dark gray sneakers with thick soles add a modern technical "
    "vibe. The jacket hood is casually pulled up, slightly shadowing their neutral, slightly obscured "
    "face, while sleek realistic sunglasses reflect the soft diffused mountain light. Ambient natural "
    "daylight is slightly overcast, casting gentle shadows on the uneven terrain of grassy wildflowers "
    "and rugged rocks. The framing holds a casual, slightly tilted angle, enhancing the authentic "
    "spontaneity and candid intimacy typical of trendy outdoor gorpcore iPhone photography. The "
    "background showcases distant jagged mountain ridges partially veiled in mist and low-hanging cloud "
    "layers, emphasizing pristine alpine wilderness and rugged outdoor adventure stylistics. Textural "
    "authenticity is prioritized with visible fabric textures, subtle weathering of shoes, natural grass "
    "details, and reflective sunglass lenses, reinforcing a highly believable, stylish technical outdoor "
    "aesthetic."
)


class OvisInput(ModelInput):
    """What the model accepts."""

    prompt: Prompt = prompt_field(_EXAMPLE_PROMPT)
    negative_prompt: NegativePrompt = field(Text("Negative Prompt", "네거티브 프롬프트"), default="")
    image_size: ImageSize = field(Text("Image Size", "이미지 크기"), default="landscape_4_3")
    num_inference_steps: Integer = steps_field(
        Text("The number of inference steps to perform.", "수행할 추론 단계 수."),
        default=28,
        most=50,
    )
    guidance_scale: float = field(
        Text("Guidance Scale", "가이던스 강도"),
        Text(
            "The guidance scale to use for the image generation.",
            "이미지 생성에 사용할 가이던스 강도.",
        ),
        default=5,
        ge=1,
        le=20,
    )
    seed: Seed = seed_field(None)
    output_format: OutputFormat = output_format_field(
        Text("The format of the generated image.", "생성된 이미지의 형식.")
    )


_BASE = "AIDC-AI/Ovis-Image-7B"


class OvisImage(Model):
    """Ovis-Image 7B."""

    id = "aidc-ai/ovis-image"
    display_name = "Ovis-Image"
    description = Text(
        "Draws an image from text, with a negative prompt and a guidance scale; good at lettering.",
        "텍스트로 이미지를 그립니다. 네거티브 프롬프트와 가이던스 강도를 지원하며 글자 표현에 강합니다.",
    )
    categories = ("text-to-image",)
    licence = "Apache-2.0"
    weights = Weights(
        real={
            "transformer": Part(_BASE, "transformer", parameters=7_370_449_728),
            "text_encoder": Part(_BASE, "text_encoder", parameters=1_720_574_976),
            "tokenizer": Part(_BASE, "tokenizer"),
            "vae": Part(_BASE, "vae"),
            "scheduler": Part(_BASE, "scheduler"),
        },
        nano={
            "transformer": Part("ovis", "transformer"),
            "text_encoder": Part("shared", "text_encoder"),
            "tokenizer": Part("shared", "tokenizer"),
            "vae": Part("shared", "vae"),
            "scheduler": Part("ovis", "scheduler"),
        },
    )
    gpu_memory_gib = 20.0
    Input = OvisInput

    def load(self, context: LoadContext) -> Any:
        """Build diffusers' pipeline, and have it count tokens as the loaded tokenizer does."""
        from diffusers import (
            AutoencoderTiny,
            FlowMatchEulerDiscreteScheduler,
            OvisImagePipeline,
            OvisImageTransformer2DModel,
        )
        from transformers import Qwen2Tokenizer, Qwen3Model

        from safelight.engine.ovis import fit_to_tokenizer

        pipeline = OvisImagePipeline(
            scheduler=context.part("scheduler", FlowMatchEulerDiscreteScheduler),
            vae=context.part("vae", AutoencoderTiny),
            text_encoder=context.part("text_encoder", Qwen3Model),
            tokenizer=context.part("tokenizer", Qwen2Tokenizer),
            transformer=context.part("transformer", OvisImageTransformer2DModel),
        )
        fit_to_tokenizer(pipeline)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def generate(self, pipeline: Any, request: OvisInput, run: Run) -> list[Image.Image]:
        """Draw one image of exactly the asked size, away from the negative prompt."""
        from safelight.engine import ovis
        from safelight.engine.drawing import draw
        from safelight.engine.little_world import note_strange_words

        note_strange_words(run, request.prompt)
        for name, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
            if ovis.is_cut(pipeline, text):
                run.note(f"The {name} was cut after {ovis.MAX_TOKENS} tokens.")
        if request.guidance_scale == 1 and request.negative_prompt:
            run.note("The negative prompt had no effect: guidance_scale is 1.")
        # The pipeline's own default for it is an empty one, which it refuses beside embeddings.
        embeddings: dict[str, Any] = {"negative_prompt": None}
        embeddings["prompt_embeds"] = ovis.embedded(pipeline, request.prompt)
        if request.guidance_scale > 1:
            embeddings["negative_prompt_embeds"] = ovis.embedded(pipeline, request.negative_prompt)
        image = draw(
            pipeline,
            run,
            ovis.canvas(pipeline, request.image_size),
            ovis.unpack,
            **embeddings,
            guidance_scale=request.guidance_scale,
            num_inference_steps=request.num_inference_steps,
        )
        return [image]
