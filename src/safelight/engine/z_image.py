"""What the Z-Image pipelines have in common: parts, sizes, the length of prompts, and one call that draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler
from PIL import Image
from torch import Tensor
from transformers import Qwen2Tokenizer, Qwen3Model

from safelight.engine import prompts
from safelight.engine.canvas import Canvas, asked_size, working_size
from safelight.engine.control import WindowedControlNet
from safelight.engine.little_world import note_strange_words
from safelight.engine.once import remembering
from safelight.engine.previews import colours_of, preview
from safelight.engine.z_image_transformer import LeanTransformer
from safelight.models.base import LoadContext, Run

MAX_TOKENS = 512
"""What the pipelines cut a prompt to, its chat template included, without a word."""

Settle = Callable[[Tensor, Tensor], Tensor]
"""What becomes of the latents after a step: (latents, their noise level sigma) to latents."""


def load(pipeline_class: Any, context: LoadContext) -> Any:
    """Build one of diffusers' pipelines, with a ControlNet that can be silent in some steps."""
    pipeline = pipeline_class(
        scheduler=context.part("scheduler", FlowMatchEulerDiscreteScheduler),
        vae=context.part("vae", AutoencoderTiny),
        text_encoder=context.part("text_encoder", Qwen3Model),
        tokenizer=context.part("tokenizer", Qwen2Tokenizer),
        transformer=context.part("transformer", LeanTransformer),
        controlnet=context.part("controlnet", WindowedControlNet),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def canvas(pipeline: Any, image_size: str, image: Image.Image) -> Canvas:
    """The sizes that a request means: the asked one, and the next that the loaded pipeline can work at."""
    multiple = pipeline.vae_scale_factor * 2
    # Positions are looked up in tables: one row per token, one token per multiple of pixels.
    longest_side = min(pipeline.transformer.axes_lens[1:]) * multiple
    asked = asked_size(image_size, image, longest_side)
    return Canvas(asked, working_size(asked, multiple))


def is_cut(pipeline: Any, prompt: str) -> bool:
    """Whether the pipeline will use only the beginning of the prompt."""
    text = pipeline.tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=True,
    )
    return len(pipeline.tokenizer(text).input_ids) > MAX_TOKENS


def embedded(pipeline: Any, prompt: str) -> Tensor:
    """A prompt as the networks read it, (tokens, text dim)."""
    # As a list, which the pipeline changes.
    return prompts.embeddings(
        pipeline.text_encoder,
        prompt,
        lambda: pipeline._encode_prompt([prompt], max_sequence_length=MAX_TOKENS)[0],
    )


def draw(
    pipeline: Any, run: Run, canvas: Canvas, *, settle: Settle | None = None, **arguments: Any
) -> Image.Image:
    """Call the pipeline as it is, report each step, and crop to the asked size.

    settle: changes the latents after each step. arguments: those of the call beyond size, noise and guidance,
    which Turbo is distilled without.
    """
    width, height = canvas.working
    steps = arguments["num_inference_steps"]

    def on_step_end(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        sigma, velocity = pipeline.scheduler.sigmas[step + 1], tensors.pop("noise_pred")
        if run.show:
            end = tensors["latents"] - sigma * velocity  # where it would arrive if it went straight on
            end = settle(end, torch.zeros_like(sigma)) if settle else end
            run.show(preview(end, colours_of(pipeline.vae, pipeline.vae_scale_factor)))
        if settle:
            tensors["latents"] = settle(tensors["latents"], sigma)
        run.on_step(step + 1, steps)
        return tensors

    prompt: str = arguments.pop("prompt")
    note_strange_words(run, prompt)
    if is_cut(pipeline, prompt):
        run.note(f"The prompt was cut after {MAX_TOKENS} tokens.")
    with torch.inference_mode(), remembering(pipeline.transformer, pipeline.controlnet):
        drawn = pipeline(
            prompt_embeds=[embedded(pipeline, prompt)],
            width=width,
            height=height,
            guidance_scale=0.0,
            generator=run.generator,
            callback_on_step_end=on_step_end,
            callback_on_step_end_tensor_inputs=["latents", "noise_pred"],
            **arguments,
        )
    image: Image.Image = drawn.images[0]
    return canvas.crop(image)
