"""What Ovis-Image's pipeline leaves to its caller: where a prompt begins, its length, and sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from safelight.engine import prompts
from safelight.engine.canvas import Canvas, working_size
from safelight.inputs import PIXELS

MAX_TOKENS = 256
"""What the pipeline cuts a prompt to, without a word."""

QWEN_WORDS = 100_000
"""Qwen's own tokenizer knows more words than this; diffusers has counted with it."""


def fit_to_tokenizer(pipeline: Any) -> None:
    """Tell the pipeline how many tokens come before a prompt in the loaded tokenizer's own counting.

    It drops the instruction in front of every prompt by a fixed number of tokens, which is right for Qwen's
    tokenizer alone. The colon at the instruction's end stays, as it does there.
    """
    if pipeline.tokenizer.vocab_size < QWEN_WORDS:
        pipeline.user_prompt_begin_id = len(_tokens(pipeline, _instruction(pipeline).rstrip(": ")))


def is_cut(pipeline: Any, prompt: str) -> bool:
    """Whether the pipeline will use only the beginning of the prompt."""
    length = len(_tokens(pipeline, _instruction(pipeline) + prompt))
    return bool(length > pipeline.user_prompt_begin_id + MAX_TOKENS)


def canvas(pipeline: Any, image_size: str) -> Canvas:
    """The asked size, and the next that the loaded pipeline can work at: itself it would round down."""
    asked = PIXELS[image_size]
    return Canvas(asked, working_size(asked, pipeline.vae_scale_factor * 2))


def embedded(pipeline: Any, prompt: str) -> Tensor:
    """A prompt as the transformer reads it, (1, MAX_TOKENS, text dim)."""

    def compute() -> Tensor:
        with torch.inference_mode():
            found: Tensor = pipeline._get_ovis_prompt_embeds(prompt, max_sequence_length=MAX_TOKENS)
            return found

    key = (prompt, pipeline.user_prompt_begin_id)
    return prompts.embeddings(pipeline.text_encoder, key, compute)


def unpack(pipeline: Any, latents: Tensor, canvas: Canvas) -> Tensor:
    """The pipeline's tokens as latents, (1, channels, h, w)."""
    width, height = canvas.working
    unpacked: Tensor = pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)
    return unpacked


def _instruction(pipeline: Any) -> str:
    """What the pipeline puts before every prompt."""
    mark = "\0"
    before: str = pipeline._get_messages(mark)[0].partition(mark)[0]
    return before


def _tokens(pipeline: Any, text: str) -> list[int]:
    found: list[int] = pipeline.tokenizer(text, add_special_tokens=False).input_ids
    return found
