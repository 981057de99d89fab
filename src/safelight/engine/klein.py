"""FLUX.2 klein, Wan's local stand-in: how its variants are called, its references, its shared parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image

from safelight.engine import prompts
from safelight.engine.canvas import Canvas, Size, working_size

LATENT_CHANNELS = 64
"""Channels of a token of 2×2 nano latents, on which the batch norm's statistics lie."""

REFERENCE_PIXELS = 1024 * 1024
"""Larger references are shrunk to that."""
MAX_RATIO = 8
MIN_SIDE = 64
"""The pipeline refuses references that are longer (in shortest sides) or smaller."""


@dataclass(frozen=True)
class Recipe:
    """How a variant is called.

    pixels: larger pictures are drawn at that size and enlarged, references fitted into their frame; None:
    everything at its own size.
    """

    num_inference_steps: int
    guidance_scale: float
    max_tokens: int
    pixels: int | None = None


DISTILLED = Recipe(num_inference_steps=4, guidance_scale=1, max_tokens=512)
"""klein-4B. It takes no guidance, and so no negative prompt."""

NANO = Recipe(num_inference_steps=8, guidance_scale=4, max_tokens=256, pixels=512 * 512)
"""Not distilled. Where a reference's things are as large as the picture's, so small a model can copy them,
and a picture on a CPU is a matter of seconds (docs/decisions/0011)."""


def recipe_of(pipeline: Any) -> Recipe:
    """How to call the loaded pipeline."""
    return DISTILLED if pipeline.config.is_distilled else NANO


def text_layers(pipeline: Any) -> tuple[int, int, int]:
    """The text encoder's layers that are read: at a quarter, a half and three quarters of its depth.

    Of 36 layers these are the 9th, 18th and 27th, on which klein was trained.
    """
    depth = pipeline.text_encoder.config.num_hidden_layers
    return depth // 4, depth // 2, depth * 3 // 4


def is_cut(pipeline: Any, prompt: str) -> bool:
    """Whether the pipeline will use only the beginning of the prompt."""
    text = pipeline.tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,
    )
    up_to_its_end = text[: text.rindex(prompt) + len(prompt)]
    return len(pipeline.tokenizer(up_to_its_end).input_ids) > recipe_of(pipeline).max_tokens


def embedded(pipeline: Any, prompt: str) -> torch.Tensor:
    """A prompt as the transformer reads it, (1, max_tokens, 3 · hidden)."""
    layers, max_tokens = text_layers(pipeline), recipe_of(pipeline).max_tokens
    # The encoder alone: a head would say which word comes next, for every word.
    encoder = pipeline.text_encoder.model

    def compute() -> torch.Tensor:
        with torch.inference_mode(), prompts.read_up_to(encoder, max(layers)):
            found: torch.Tensor = pipeline._get_qwen3_prompt_embeds(
                encoder,
                pipeline.tokenizer,
                prompt,
                max_sequence_length=max_tokens,
                hidden_states_layers=layers,
            )
            return found

    return prompts.embeddings(encoder, (prompt, max_tokens, layers), compute)


def unpack(pipeline: Any, latents: torch.Tensor, canvas: Canvas) -> torch.Tensor:
    """The pipeline's tokens as latents, (1, channels, h, w)."""
    multiple = pipeline.vae_scale_factor * 2
    columns, rows = (side // multiple for side in canvas.working)
    tokens = latents.transpose(1, 2).reshape(1, latents.shape[-1], rows, columns)
    unpacked: torch.Tensor = pipeline._unpatchify_latents(tokens)
    return unpacked


def canvas(recipe: Recipe, asked: Size, multiple: int) -> Canvas:
    """What is drawn for a picture of the asked size: that size, or one of its shape with fewer pixels."""
    width, height = asked
    shrink = 1.0 if recipe.pixels is None else min(1.0, (recipe.pixels / (width * height)) ** 0.5)
    drawn = round(width * shrink), round(height * shrink)
    return Canvas(drawn, working_size(drawn, multiple))


def enlarged(image: Image.Image, asked: Size) -> Image.Image:
    """What was drawn on a smaller canvas, in the asked size."""
    return image if image.size == asked else image.resize(asked, Image.Resampling.LANCZOS)


def reference(image: Image.Image, recipe: Recipe, frame: Size) -> Image.Image:
    """An RGB reference as the pipeline takes it: at most MAX_RATIO to 1, and never enlarged.

    It fits into the frame where the recipe says so, else it has at most REFERENCE_PIXELS. Narrower ones are
    widened by repeating their edges.
    """
    width, height = image.size
    shrink = (
        (REFERENCE_PIXELS / (width * height)) ** 0.5
        if recipe.pixels is None
        else min(frame[0] / width, frame[1] / height)
    )
    if shrink < 1:
        width, height = max(1, int(width * shrink)), max(1, int(height * shrink))
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    least = max(MIN_SIDE, -(-max(width, height) // MAX_RATIO))
    missing_x, missing_y = max(0, least - width), max(0, least - height)
    if not missing_x and not missing_y:
        return image
    around = [(missing // 2, missing - missing // 2) for missing in (missing_y, missing_x)]
    return Image.fromarray(np.pad(np.asarray(image), (*around, (0, 0)), mode="edge"))


def autoencoder(vae: Any) -> Any:
    """What the pipeline wants: klein's own autoencoder as it is, the small one with statistics."""
    return KleinAutoencoder.around(vae) if isinstance(vae, AutoencoderTiny) else vae


class KleinAutoencoder(AutoencoderTiny):  # type: ignore[misc]
    """`AutoencoderTiny` with the batch norm whose statistics klein's pipeline reads beside it.

    The latents have zero mean and unit variance per channel already, so the statistics change nothing.
    """

    @classmethod
    def around(cls, shared: AutoencoderTiny) -> KleinAutoencoder:
        """One that shares encoder and decoder with an autoencoder that is loaded."""
        with torch.device("meta"):
            made: KleinAutoencoder = cls.from_config(shared.config)
        made.encoder, made.decoder = shared.encoder, shared.decoder
        made.bn = torch.nn.BatchNorm2d(LATENT_CHANNELS, affine=False).to(shared.device, shared.dtype)
        made.register_to_config(batch_norm_eps=0.0)
        made.eval()
        return made
