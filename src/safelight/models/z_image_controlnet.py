"""Z-Image-Turbo with a ControlNet: an image that follows the structure of another one."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from PIL.Image import Resampling
from pydantic import model_validator

from safelight.inputs import (
    ImageSizeOrAuto,
    ImageUrl,
    Integer,
    LoraRef,
    ModelInput,
    OutputFormat,
    Prompt,
    Seed,
    aspect_ratio_field,
    field,
    loras_field,
    output_format_field,
    prompt_field,
    seed_field,
    steps_field,
)
from safelight.models._z_image import (
    Z_IMAGE_WEIGHTS,
    control_end_field,
    control_scale_field,
    control_start_field,
    window_in_order,
)
from safelight.models.base import LoadContext, Model, Run
from safelight.texts import Text

if TYPE_CHECKING:
    from PIL import Image

_EXAMPLE_PROMPT = (
    "ultra-realistic interior rendering of a modern minimalist apartment living space with floor-to-"
    "ceiling glass windows on the right side, filling the room with soft natural daylight. A sleek light "
    "gray sectional sofa and a low rectangular coffee table with a matte finish sit on pale wood "
    "flooring. The walls are smooth and painted white, creating a clean and airy aesthetic. In the "
    "background, a green indoor plant adds a subtle touch of nature. The composition features high "
    "ceilings, long hallway perspective, and a serene, uncluttered atmosphere. Rendered in 8k, "
    "photorealistic, global illumination, unreal engine, architectural photography style, shot with a "
    "wide-angle lens, soft shadows, natural lighting."
)


class ControlNetInput(ModelInput):
    """What the model accepts."""

    prompt: Prompt = prompt_field(_EXAMPLE_PROMPT)
    image_url: ImageUrl = field(
        Text("Image", "이미지"),
        Text(
            "URL of the input image used for ControlNet-based generation.",
            "ControlNet 기반 생성에 사용할 입력 이미지의 URL.",
        ),
        example="https://playgrounds-storage-public.runcomfy.net/tools/7267/media-files/depth.jpg",
    )
    loras: list[LoraRef] = loras_field(
        example=[{"path": "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union", "scale": 1}]
    )
    image_size: ImageSizeOrAuto = aspect_ratio_field()
    control_scale: float = control_scale_field(
        Text(
            "Controls how strongly the ControlNet conditions affect the output.",
            "ControlNet 조건이 결과에 얼마나 강하게 영향을 주는지 조절합니다.",
        ),
        default=0.9,
    )
    control_start: float = control_start_field(
        Text(
            "Specifies the start point of the ControlNet conditioning during generation.",
            "생성 과정에서 ControlNet 조건이 시작되는 지점.",
        ),
    )
    control_end: float = control_end_field(
        Text(
            "Specifies the end point of the ControlNet conditioning during generation.",
            "생성 과정에서 ControlNet 조건이 끝나는 지점.",
        ),
        default=0.4,
    )
    preprocess: Literal["none", "canny", "depth", "pose"] = field(
        Text("Preprocess", "전처리"),
        Text(
            "Defines what preprocessing (if any) will be applied to the ControlNet input image.",
            "ControlNet 입력 이미지에 적용할 전처리(있는 경우).",
        ),
        default="none",
    )
    num_inference_steps: Integer = steps_field(
        Text(
            "Specifies the number of inference steps during generation.",
            "생성할 때 수행할 추론 단계 수.",
        ),
        default=8,
        most=8,
    )
    seed: Seed = seed_field(0)
    enable_prompt_expansion: bool = field(
        Text("Magic Prompt", "매직 프롬프트"),
        Text(
            "Enables automatic prompt expansion to improve results; increases cost by 0.0025 credits per "
            "request.",
            "결과를 개선하기 위해 프롬프트를 자동으로 확장합니다. 요청당 비용이 0.0025 크레딧 늘어납니다.",
        ),
        default=False,
    )
    output_format: OutputFormat = output_format_field(
        Text("Specifies the output image format.", "출력 이미지의 형식.")
    )

    _window_in_order = model_validator(mode="after")(window_in_order)


class ZImageControlNet(Model):
    """Z-Image-Turbo, its ControlNet, and LoRAs in one request."""

    id = "tongyi-mai/z-image/turbo/controlnet/lora"
    display_name = "Z-Image Turbo ControlNet + LoRA"
    description = Text(
        "Draws what the prompt says in the structure of your image: edges, depth or a pose.",
        "프롬프트의 내용을 내 이미지의 구조(윤곽선, 깊이, 자세)에 맞춰 그립니다.",
    )
    categories = ("image-to-image",)
    licence = "Apache-2.0"
    weights = Z_IMAGE_WEIGHTS
    gpu_memory_gib = 28.0
    lora_part = "transformer"
    part_of_value = MappingProxyType({"preprocess": {"depth": "depth", "pose": "pose"}})
    Input = ControlNetInput

    def load(self, context: LoadContext) -> Any:
        """Build diffusers' pipeline, with a ControlNet that can be silent in some steps."""
        from diffusers import ZImageControlNetPipeline

        from safelight.engine import z_image

        return z_image.load(ZImageControlNetPipeline, context)

    def generate(self, pipeline: Any, request: ControlNetInput, run: Run) -> list[Image.Image]:
        """Draw one image of exactly the asked size in the structure of the control image."""
        from safelight.engine import expansion, lora, z_image
        from safelight.engine.control import Window
        from safelight.engine.preprocess import preprocess

        (picture,) = run.images["image_url"]
        canvas = z_image.canvas(pipeline, request.image_size, picture)
        guide = preprocess(request.preprocess, picture.resize(canvas.asked, Resampling.LANCZOS), run)
        prompt = request.prompt
        if request.enable_prompt_expansion:
            prompt = expansion.expand_prompt(pipeline, run, prompt)
        window = Window.of(request, request.num_inference_steps)
        with lora.applied(pipeline, run) as strength, pipeline.controlnet.within(window):
            image = z_image.draw(
                pipeline,
                run,
                canvas,
                prompt=prompt,
                control_image=canvas.extend(guide),
                controlnet_conditioning_scale=request.control_scale * strength,
                num_inference_steps=request.num_inference_steps,
            )
        return [image]
