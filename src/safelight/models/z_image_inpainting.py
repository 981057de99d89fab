"""Z-Image-Turbo inpainting: repaint what the mask shows and leave the rest as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL.Image import Resampling
from pydantic import model_validator

from safelight.inputs import (
    ImageSizeOrAuto,
    ImageUrl,
    Integer,
    LocalLoraRef,
    MaskUrl,
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
    "Replace the girl’s current top with a short red polka-dot swimsuit top. Keep the girl’s face, "
    "hairstyle, body proportions, and pose unchanged. The lighting should be natural and consistent with "
    "a beach environment, with realistic colors and details."
)


class InpaintingInput(ModelInput):
    """What the model accepts."""

    prompt: Prompt = prompt_field(_EXAMPLE_PROMPT)
    image_url: ImageUrl = field(
        Text("Image", "이미지"),
        Text("Valid image URL used as input for inpainting.", "인페인팅에 사용할 입력 이미지의 URL."),
        example="https://playgrounds-storage-public.runcomfy.net/tools/7294/media-files/input-1-1.png",
    )
    mask_image_url: MaskUrl = field(
        Text("Mask Image", "마스크 이미지"),
        Text(
            "Valid image URL pointing to a mask image used for inpainting.",
            "인페인팅에 사용할 마스크 이미지의 URL.",
        ),
        example="https://playgrounds-storage-public.runcomfy.net/tools/7294/media-files/mask.png",
    )
    control_start: float = control_start_field(
        Text("Start point of controlnet conditioning (0–1).", "ControlNet 조건의 시작 지점(0–1)."),
    )
    strength: float = field(
        Text("Strength", "강도"),
        Text("Controls the strength of the inpaint conditioning.", "인페인팅의 강도를 조절합니다."),
        default=1,
        ge=0,
        le=1,
    )
    loras: list[LocalLoraRef] = loras_field(optional_list=True)
    image_size: ImageSizeOrAuto = aspect_ratio_field()
    num_inference_steps: Integer = steps_field(
        Text("Controls the number of diffusion inference steps.", "확산 추론 단계 수를 조절합니다."),
        default=20,
        most=30,
    )
    seed: Seed = seed_field(0)
    output_format: OutputFormat = output_format_field(
        Text("Specifies the file format of the generated image.", "생성된 이미지의 파일 형식.")
    )
    control_scale: float = control_scale_field(
        Text(
            "Defines the scale of the inpaint controlnet conditioning.",
            "인페인팅 ControlNet 조건의 강도를 정합니다.",
        ),
        default=0.75,
    )
    control_end: float = control_end_field(
        Text("End point of controlnet conditioning (0–1).", "ControlNet 조건의 끝 지점(0–1)."),
        default=0.6,
    )

    _window_in_order = model_validator(mode="after")(window_in_order)


class ZImageInpainting(Model):
    """Z-Image-Turbo with the inpainting ControlNet."""

    id = "tongyi-mai/z-image/turbo/inpainting/lora"
    display_name = "Z-Image Turbo Inpainting + LoRA"
    description = Text(
        "Repaints the white part of a mask as the prompt says; everything else stays as it was.",
        "마스크의 흰 부분을 프롬프트대로 다시 그리고, 나머지는 그대로 둡니다.",
    )
    categories = ("image-to-image",)
    licence = "Apache-2.0"
    weights = Z_IMAGE_WEIGHTS
    gpu_memory_gib = 28.0
    lora_part = "transformer"
    Input = InpaintingInput

    def load(self, context: LoadContext) -> Any:
        """Build diffusers' pipeline, with a ControlNet that can be silent in some steps."""
        from diffusers import ZImageControlNetInpaintPipeline

        from safelight.engine import z_image

        return z_image.load(ZImageControlNetInpaintPipeline, context)

    def generate(self, pipeline: Any, request: InpaintingInput, run: Run) -> list[Image.Image]:
        """Repaint the masked part; outside the mask every pixel stays what it was."""
        from safelight.engine import inpaint, lora, masks, z_image
        from safelight.engine.control import Window

        (picture,), (given_mask,) = run.images["image_url"], run.images["mask_image_url"]
        canvas = z_image.canvas(pipeline, request.image_size, picture)
        mask = masks.fit_mask(given_mask, picture.size, canvas.asked)
        original = picture.resize(canvas.asked, Resampling.LANCZOS)
        if masks.is_black(mask):
            run.note("The mask is all black, so nothing was repainted: this is the input image.")
            return [original]
        image, area = canvas.extend(original), canvas.extend(mask)
        repaint = inpaint.prepare(
            pipeline,
            image,
            area,
            strength=request.strength,
            steps=request.num_inference_steps,
            generator=run.generator,
        )
        steps = len(repaint.sigmas)
        window = Window.of(request, steps)
        with (
            lora.applied(pipeline, run) as strength,
            pipeline.controlnet.within(window, without_image=True),
        ):
            drawn = z_image.draw(
                pipeline,
                run,
                canvas,
                settle=repaint.settle,
                prompt=request.prompt,
                image=image,
                mask_image=area,
                control_image=image,  # its latents are silenced, but the pipeline insists on one
                controlnet_conditioning_scale=request.control_scale * strength,
                num_inference_steps=steps,
                sigmas=repaint.sigmas,
                latents=repaint.latents,
            )
        return [masks.paste(drawn, original, mask)]
