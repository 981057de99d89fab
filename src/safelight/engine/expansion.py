"""Magic prompt: a longer prompt, written by the text encoder that is loaded anyway."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import GenerationConfig

from safelight.engine.language_model import as_language_model
from safelight.engine.little_world import lost_names, quoted, strange_words
from safelight.engine.streaming import at_hand
from safelight.models.base import Run, Vocabulary

_INSTRUCTION = (
    "Rewrite the user's prompt for an image generator in one paragraph of at most 120 words. Keep everything "
    "that it names, in its colours, numbers and places, and every word in quotation marks; add concrete "
    "visual detail, light and composition. Answer in the prompt's language, with the new prompt and nothing "
    "else."
)

_QUOTED = re.compile(r"[\"“「『]([^\"”」』]+)[\"”」』]")

TRIES = 3
"""How often the encoder is asked until it keeps what the prompt names."""
MAY_LEAVE = ("transformer", "controlnet")
"""What makes room on a small device for an encoder that writes, which runs once for each word."""


@dataclass(frozen=True)
class Recipe:
    """How an encoder is asked. sampled: words are drawn, with the run's seed; else the likeliest."""

    instruction: str
    max_new_tokens: int
    sampled: bool


REAL = Recipe(_INSTRUCTION, max_new_tokens=300, sampled=True)
NANO = Recipe("", max_new_tokens=128, sampled=False)
"""Trained to answer a short caption with a long one: it needs no instruction and understands none."""


def expand_prompt(pipeline: Any, run: Run, prompt: str) -> str:
    """Make more of a prompt, and put that into the result.

    A prompt that nano weights do not know stays as it is: they would replace it by something that they do.
    """
    known = run.context.vocabulary
    if known is not None and strange_words(prompt, known.words):
        run.note("Magic prompt left the prompt as it is, because nano weights do not know all of it.")
        expanded = prompt
    else:
        expanded = _longer(pipeline, run, prompt, REAL if known is None else NANO)
    run.report.expanded_prompt = expanded
    return expanded


def _longer(pipeline: Any, run: Run, prompt: str, recipe: Recipe) -> str:
    """The first answer that keeps what the prompt names; else the prompt."""
    lost: list[str] = []
    for tried in range(TRIES):
        answer = _answer(pipeline, recipe, prompt, run.seed + tried)
        lost = _lost(prompt, answer, run.context.vocabulary)
        if not lost:
            return answer or prompt
        recipe = replace(recipe, sampled=True)  # the likeliest words would be the same again
    run.note(f"Magic prompt left the prompt as it is, because what it wrote lost {quoted(lost)}.")
    return prompt


def _lost(prompt: str, answer: str, known: Vocabulary | None) -> list[str]:
    """What this rewording lost and none may: words in quotation marks, names of the little world."""
    written = [text for text in _QUOTED.findall(prompt) if text not in answer]
    return written + (lost_names(prompt, answer, known.names) if known else [])


def _answer(pipeline: Any, recipe: Recipe, prompt: str, seed: int) -> str:
    """What the encoder says to a prompt. The random numbers of the process stay as they are."""
    tokenizer = pipeline.tokenizer
    messages = [{"role": "user", "content": prompt}]
    if recipe.instruction:
        messages.insert(0, {"role": "system", "content": recipe.instruction})
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    device = pipeline.text_encoder.device
    given = tokenizer(text, return_tensors="pt").to(device)
    options: dict[str, Any] = {"temperature": 0.7, "top_p": 0.8, "top_k": 20} if recipe.sampled else {}
    how = GenerationConfig(
        max_new_tokens=recipe.max_new_tokens,
        do_sample=recipe.sampled,
        eos_token_id=tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]),
        pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        **options,
    )
    model = as_language_model(pipeline.text_encoder)
    others = [part for name, part in pipeline.components.items() if name in MAY_LEAVE]
    with (
        torch.inference_mode(),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        at_hand(model.model, *others),
    ):
        torch.manual_seed(seed)
        out = model.generate(**given, generation_config=how)
    answer: str = tokenizer.decode(out[0, given.input_ids.shape[1] :], skip_special_tokens=True)
    return answer.strip()
