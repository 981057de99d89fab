"""The loaded text encoder as a language model, without a second copy of its weights."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Qwen3ForCausalLM

from safelight.engine.streaming import follow


def as_language_model(encoder: Any) -> Any:
    """A `Qwen3ForCausalLM` around a `Qwen3Model`; its head is the embedding, as in the checkpoint.

    One that is a language model already is returned as it is.
    """
    if isinstance(encoder, Qwen3ForCausalLM):
        return encoder
    with torch.device("meta"):
        model = Qwen3ForCausalLM(encoder.config)
    model.model = encoder
    model.lm_head.weight = encoder.embed_tokens.weight
    follow(model.lm_head, encoder.embed_tokens)
    return model.eval()
