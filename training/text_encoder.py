"""The tokenizer and the text encoder that every model shares.

The encoder learns two things at once. As a causal language model it turns short captions into long
ones (magic prompt). And at its second last layer, where the image models read, the last positions of
a prompt must tell what the prompt says of sky, ground and objects: so an image model finds in a few
thousand steps what it would else have to learn from pixels.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

from training.captions import (
    GROUND_WORDS,
    KIND_WORDS,
    PLACE_WORDS,
    SIZE_WORDS,
    SKY_WORDS,
    caption,
    full_caption,
    long_caption,
    short_caption,
)
from training.published import NANO, published
from training.stage import CHECKPOINTS, Recipe, Stage, device, half_precision, has_checkpoint, trained
from training.world import COLOURS, GROUNDS, KINDS, PLACES, SIZES, SKIES, Scene

HIDDEN: Final = 160
VOCABULARY: Final = 768
SPECIAL_TOKENS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
CHAT_TEMPLATE: Final = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}"
    "{%- endif %}"
    "{%- endif %}"
)
"""What Qwen3's own template makes of plain messages."""


WRITER: Final = "writer"
"""The stage that goes on with the last layer (`writer.py`)."""
TOKENIZER: Final = CHECKPOINTS / "tokenizer"


@cache
def tokenizer() -> Qwen2Tokenizer:
    """The tokenizer that belongs to `text_encoder`: learned once, before the first text encoder, and kept.

    Learned anew of a changed world it would give other numbers to the words that the models know.
    """
    published_one = NANO / "shared" / "tokenizer"
    if TOKENIZER.exists() or not published_one.exists():
        if not TOKENIZER.exists():
            learn_tokenizer().save_pretrained(TOKENIZER)
        return Qwen2Tokenizer.from_pretrained(TOKENIZER, local_files_only=True)
    return Qwen2Tokenizer.from_pretrained(published_one, local_files_only=True)


def learn_tokenizer() -> Qwen2Tokenizer:
    """Byte-level BPE whose merges come from the world's captions; any other text falls to bytes."""
    rng = np.random.default_rng(3)
    scenes = [Scene.random(rng) for _ in range(6000)]
    texts = [text for scene in scenes for text in (caption(scene, rng), long_caption(scene, rng))]
    texts += ["user", "assistant"] * 6000  # the words of the chat template
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    room = VOCABULARY - len(SPECIAL_TOKENS)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=room, initial_alphabet=alphabet))
    learned = json.loads(learner.to_str())["model"]
    made = Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[tuple(merge) for merge in learned["merges"]],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=131072,
    )
    made.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    made.chat_template = CHAT_TEMPLATE
    made.padding_side = "right"
    return made


def new_text_encoder() -> Qwen3Model:
    """The architecture, as it is published."""
    return Qwen3Model(
        Qwen3Config(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=400,
            num_hidden_layers=5,
            num_attention_heads=5,
            num_key_value_heads=1,
            head_dim=32,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        )
    )


def prompt_text(prompt: str, thinking: bool = True) -> str:
    """The prompt in the chat template, as the pipelines write it."""
    text: str = tokenizer().apply_chat_template(
        [{"role": "user", "content": prompt}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=thinking,
    )
    return text


# --- What a prompt says -------------------------------------------------------------------------------

_TABLES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("sky", SKIES),
    ("ground", GROUNDS),
    *(
        (f"{name} {index}", values)
        for index in (0, 1)
        for name, values in (("kind", KINDS), ("colour", COLOURS), ("size", SIZES), ("place", PLACES))
    ),
)
READINGS: Final = {name: ("nothing", *values) for name, values in _TABLES}
"""What is read out, and its classes; "nothing" where the prompt does not say."""


def said(prompt: str, scene: Scene) -> list[int]:
    """The classes of `READINGS` that a prompt of this scene names."""
    text = prompt.lower()
    spans = sorted(
        (_find(text, KIND_WORDS[thing.kind], thing.colour), i) for i, thing in enumerate(scene.things)
    )
    classes = [
        1 + SKIES.index(scene.sky) if _named(text, SKY_WORDS[scene.sky]) else 0,
        1 + GROUNDS.index(scene.ground) if _named(text, GROUND_WORDS[scene.ground]) else 0,
    ]
    found = [(at, scene.things[i]) for at, i in spans if at >= 0]
    # What is said of an object stands between the object before it and the one after it.
    for slot in range(2):
        if slot >= len(found):
            classes += [0, 0, 0, 0]
            continue
        at, thing = found[slot]
        begin = text.rfind(" and ", 0, at) + 1 if slot else 0
        end = found[slot + 1][0] if slot + 1 < len(found) else len(text)
        cut = text.rfind(" and ", at, end)
        part = text[begin : cut if cut >= 0 and slot + 1 < len(found) else end]
        classes.append(1 + KINDS.index(thing.kind))
        before = text[begin:at]
        classes.append(1 + COLOURS.index(thing.colour) if thing.colour in before.split() else 0)
        size_named = any(word in before.split() for word in SIZE_WORDS[thing.size])
        classes.append(1 + SIZES.index(thing.size) if size_named else 0)
        classes.append(1 + PLACES.index(thing.place) if _named(part, PLACE_WORDS[thing.place]) else 0)
    return classes


def _named(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase.lower() in text for phrase in phrases)


def _find(text: str, words: tuple[str, ...], colour: str) -> int:
    """Where the object's name stands, -1 for nowhere; behind its colour where that is said."""
    places = [text.find(f"{colour} {word}") + len(colour) + 1 for word in words if f"{colour} {word}" in text]
    return min(places) if places else max((text.find(word) for word in words), default=-1)


# --- The stage ----------------------------------------------------------------------------------------


class Reader(nn.Module):
    """The encoder, with the read-outs that are thrown away after training."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = new_text_encoder()
        self.heads = nn.ModuleDict(
            {name: nn.Linear(HIDDEN, len(values)) for name, values in READINGS.items()}
        )


class TextEncoderStage(Stage):
    """Language model and read-outs in one batch each."""

    name = "text"
    recipe = Recipe(rate=3e-3, average=0.998, warmup_steps=40)
    batch = 32

    def __init__(self) -> None:
        self.reader = Reader().to(device())
        self.module: nn.Module = self.reader

    def take_published(self) -> None:
        """Begin with the text encoder in the package; the read-outs are learned anew."""
        self.reader.encoder.load_state_dict(published(Qwen3Model, "shared/text_encoder"))

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Cross entropies of the next token and of what is said."""
        scenes = [Scene.random(rng) for _ in range(self.batch)]
        with half_precision():
            written = self._language_loss(self.reader, scenes, rng)
            return written + 0.5 * self._reading_loss(self.reader, scenes, rng)[0]

    def _language_loss(self, reader: Any, scenes: list[Scene], rng: np.random.Generator) -> Tensor:
        shorts = [
            short_caption(scene, rng) if rng.random() < 0.7 else caption(scene, rng) for scene in scenes
        ]
        return writing_loss(reader.encoder, shorts, scenes, rng)

    def _reading_loss(
        self, reader: Any, scenes: list[Scene], rng: np.random.Generator
    ) -> tuple[Tensor, float]:
        prompts = [
            caption(scene, rng) if rng.random() < 0.8 else full_caption(scene, rng) for scene in scenes
        ]
        classes = torch.tensor([said(p, s) for p, s in zip(prompts, scenes, strict=True)], device=device())
        hidden, lengths = states(reader.encoder, prompts)
        last = hidden[torch.arange(len(prompts)), lengths - 1]  # it alone has seen the whole prompt
        loss, right = torch.zeros((), device=device()), 0.0
        for column, head in enumerate(reader.heads.values()):
            scores = head(last)
            loss = loss + functional.cross_entropy(scores, classes[:, column])
            right += float((scores.argmax(1) == classes[:, column]).float().mean())
        return loss / len(reader.heads), right / len(reader.heads)

    def report(self, module: Any, folder: Path) -> str:
        """How often the read-outs are right on unseen captions, and one expansion."""
        rng = np.random.default_rng(99)
        scenes = [Scene.random(rng) for _ in range(200)]
        right = self._reading_loss(module, scenes, rng)[1]
        short = short_caption(scenes[0], rng)
        (folder / "text.txt").write_text(f"{short}\n→ {expand(module.encoder, short)}\n")
        return f"read-outs {right:.1%}"


def writing_loss(
    encoder: Any, shorts: list[str], scenes: list[Scene], rng: np.random.Generator, *, answers: bool = False
) -> Tensor:
    """Cross entropy of the next token, from short captions to long ones; answers: of the long ones alone."""
    asked = [prompt_text(short, thinking=False) for short in shorts]
    texts = [
        text + long_caption(scene, rng) + "<|im_end|>" for text, scene in zip(asked, scenes, strict=True)
    ]
    batch = tokenizer()(texts, padding=True, return_tensors="pt").to(device())
    hidden = encoder(**batch).last_hidden_state
    logits = hidden[:, :-1] @ encoder.embed_tokens.weight.T
    targets = batch.input_ids[:, 1:].masked_fill(batch.attention_mask[:, 1:] == 0, -100)
    if answers:
        for row, text in zip(targets, asked, strict=True):
            row[: len(tokenizer()(text).input_ids) - 1] = -100
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def states(encoder: Qwen3Model, prompts: list[str]) -> tuple[Tensor, Tensor]:
    """What image models read: (B, tokens, 160) of the second last layer, and each prompt's length."""
    texts = [prompt_text(prompt) for prompt in prompts]
    batch = tokenizer()(texts, padding=True, return_tensors="pt").to(device())
    hidden = encoder(**batch, output_hidden_states=True).hidden_states[-2]
    return hidden, batch.attention_mask.sum(1)


def expand(encoder: Qwen3Model, prompt: str, limit: int = 96) -> str:
    """The likeliest long caption, token by token."""
    ids = tokenizer()(prompt_text(prompt, thinking=False), return_tensors="pt").input_ids.to(device())
    start, end = ids.shape[1], tokenizer().convert_tokens_to_ids("<|im_end|>")
    for _ in range(limit):
        hidden = encoder(input_ids=ids).last_hidden_state[:, -1]
        token = (hidden @ encoder.embed_tokens.weight.T).argmax(-1, keepdim=True)
        if int(token) == end:
            break
        ids = torch.cat([ids, token], 1)
    text: str = tokenizer().decode(ids[0, start:])
    return text


def trained_encoder() -> Qwen3Model:
    """The encoder as its stage left it."""
    reader = Reader()
    reader.load_state_dict(trained(TextEncoderStage.name)["average"])
    return reader.encoder


@cache
def text_encoder() -> Qwen3Model:
    """The trained encoder, resting, on the device."""
    encoder = new_text_encoder()
    if has_checkpoint(WRITER):
        encoder.load_state_dict(trained(WRITER)["average"])
    elif has_checkpoint(TextEncoderStage.name):
        encoder.load_state_dict(trained_encoder().state_dict())
    else:
        encoder.load_state_dict(published(Qwen3Model, "shared/text_encoder"))
    return encoder.eval().requires_grad_(False).to(device())
