"""Scenes in words: short and long captions in several wordings, and every word they use."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from training.world import COLOURS, Scene, Thing

SKY_WORDS: Final = {
    "day": ("on a sunny day", "under a blue sky", "by day", "on a bright day", "in sunshine"),
    "sunset": ("at sunset", "under an orange evening sky", "in the evening glow", "in the evening"),
    "night": ("at night", "under the stars", "under a starry sky", "in moonlight", "by night"),
    "storm": ("in a storm", "under dark clouds", "on a stormy day", "under a grey sky", "in bad weather"),
    "dawn": ("at dawn", "under a pink morning sky", "in the early morning", "at daybreak"),
}
GROUND_WORDS: Final = {
    "grass": ("on grass", "on a green meadow", "in a meadow", "on a lawn", "on green grass"),
    "sand": ("on sand", "on a beach", "in the desert", "on golden sand", "on the sand"),
    "snow": ("on snow", "in a snowy field", "on the snow", "in deep snow", "in a snowy landscape"),
    "sea": ("on the sea", "on the water", "at sea", "on the ocean", "on water"),
    "flowers": ("in a field of flowers", "among flowers", "in a flower meadow", "among wildflowers"),
}
KIND_WORDS: Final = {
    "house": ("house", "house", "cottage"),
    "tree": ("tree",),
    "balloon": ("balloon", "hot air balloon"),
    "star": ("star",),
    "ball": ("ball", "ball", "beach ball"),
    "tent": ("tent",),
    "boat": ("boat", "boat", "sailing boat"),
    "mushroom": ("mushroom", "mushroom", "toadstool"),
    "person": ("person", "person", "figure"),
}
SIZE_WORDS: Final = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
PLACE_WORDS: Final = {
    "left": ("on the left", "on the left side", "to the left"),
    "centre": ("in the middle", "in the centre", "in the center"),
    "right": ("on the right", "on the right side", "to the right"),
}
OPENINGS: Final = (
    "",
    "",
    "",
    "",
    "a picture of ",
    "a painting of ",
    "an illustration of ",
    "a photo of ",
    "draw ",
)
ENDINGS: Final = (
    *("", "", "", "", "", ", highly detailed", ", soft light", ", beautiful", ", 8k, photorealistic"),
    *(", masterpiece, best quality", ", cinematic lighting, soft shadows", ", with hills in the distance"),
)
UNSAID: Final = ("large", "centre")
"""The size and the place that a prompt means most of the time when it says nothing of them: people want
what they name, large and in the middle, and a prompt that has one clear picture is learned much sooner."""
OTHERWISE: Final = 0.92
"""Share of the prompts that name a size or a place that is another."""
SKY_SENTENCES: Final = {
    "day": (
        "The sky is clear and blue, with a bright sun and a few white clouds.",
        "Sunlight falls from a blue sky.",
    ),
    "sunset": (
        "The sun sinks behind the hills and the sky glows orange and red.",
        "The evening sky burns in orange.",
    ),
    "night": (
        "The night sky is full of stars above a crescent moon.",
        "Stars and a crescent moon shine in the dark.",
    ),
    "storm": ("Heavy grey clouds hang over the hills.", "Dark storm clouds cover the whole sky."),
    "dawn": ("The morning sky is soft and pink.", "A pale sun rises into a pink morning sky."),
}
GROUND_SENTENCES: Final = {
    "grass": ("Fresh green grass covers the ground.", "The meadow is green, with small tufts of grass."),
    "sand": ("Golden sand lies all around in gentle dunes.", "The sand is warm and golden."),
    "snow": ("Deep white snow covers the ground.", "The snow lies smooth and white."),
    "sea": ("Small waves glitter on the water.", "The sea is wide, with gentle waves."),
    "flowers": (
        "Colourful wildflowers bloom everywhere in the grass.",
        "Flowers of many colours fill the meadow.",
    ),
}


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A prompt as people write them: some name everything, some leave out what they do not care for."""
    style = rng.random()
    if style < 0.12:
        return long_caption(scene, rng)
    keep = 0.85 if style < 0.75 else 0.4
    things = scene.things if len(scene.things) == 1 or rng.random() < 0.9 else scene.things[:1]
    order = rng.permutation(len(things))
    named = [thing_words(things[i], rng, keep) for i in order]
    words = [" and ".join(named)]
    around = [
        pick(GROUND_WORDS[scene.ground], rng) if rng.random() < keep else "",
        pick(SKY_WORDS[scene.sky], rng) if rng.random() < keep else "",
    ]
    if rng.random() < 0.3:
        around.reverse()
    joint = ", " if rng.random() < 0.35 else " "
    words += [part for part in around if part]
    text = pick(OPENINGS, rng) + joint.join(words) + pick(ENDINGS, rng)
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + ("." if rng.random() < 0.15 else "")


def plain_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A plain prompt that says nothing of size and place: what a control image shows by itself."""
    named = [
        f"{article(thing.colour)} {thing.colour} {pick(KIND_WORDS[thing.kind], rng)}"
        for thing in scene.things
    ]
    return f"{' and '.join(named)} {_around(scene, rng)}"


def full_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A plain prompt that names every object's colour and place, its size if it is not the usual one, the
    ground and the sky."""
    named = [
        f"{_sized(thing)} {pick(KIND_WORDS[thing.kind], rng)} {PLACE_WORDS[thing.place][0]}"
        for thing in scene.things
    ]
    return f"{' and '.join(named)} {_around(scene, rng)}"


def short_caption(scene: Scene, rng: np.random.Generator) -> str:
    """What a person in a hurry writes: the objects, perhaps one thing more."""
    text = " and ".join(
        thing_words(thing, rng, 0.25, always_colour=rng.random() < 0.8) for thing in scene.things
    )
    extra = rng.random()
    if extra < 0.3:
        text += " " + pick(GROUND_WORDS[scene.ground], rng)
    elif extra < 0.6:
        text += " " + pick(SKY_WORDS[scene.sky], rng)
    elif extra < 0.75:
        text += f" {_around(scene, rng)}"
    return text


def long_caption(scene: Scene, rng: np.random.Generator) -> str:
    """What magic prompt makes of it: every object with its colour, size and place, then ground and sky."""
    named = [
        f"a {thing.size} {thing.colour} {KIND_WORDS[thing.kind][0]} {PLACE_WORDS[thing.place][0]}"
        for thing in scene.things
    ]
    ground, sky = pick(GROUND_WORDS[scene.ground], rng), pick(SKY_WORDS[scene.sky], rng)
    opening = f"{' and '.join(named)} {ground} {sky}."
    sentences = [pick(GROUND_SENTENCES[scene.ground], rng), pick(SKY_SENTENCES[scene.sky], rng)]
    return " ".join([opening[0].upper() + opening[1:], *sentences])


def thing_words(thing: Thing, rng: np.random.Generator, keep: float, always_colour: bool = True) -> str:
    """An object's name with what is said of it: its colour nearly always, its size and place if they are
    not the usual ones, else by chance `keep`."""
    usual_size, usual_place = UNSAID
    words = []
    if rng.random() < (keep * 0.4 if thing.size == usual_size else OTHERWISE):
        words.append(pick(SIZE_WORDS[thing.size], rng))
    if always_colour and rng.random() < 0.95:
        words.append(thing.colour)
    words.append(pick(KIND_WORDS[thing.kind], rng))
    if rng.random() < 0.85:
        words.insert(0, article(words[0]))
    if rng.random() < (keep * 0.4 if thing.place == usual_place else OTHERWISE):
        words.append(pick(PLACE_WORDS[thing.place], rng))
    return " ".join(words)


def _sized(thing: Thing) -> str:
    words = thing.colour if thing.size == UNSAID[0] else f"{thing.size} {thing.colour}"
    return f"{article(words)} {words}"


def _around(scene: Scene, rng: np.random.Generator) -> str:
    sky, ground = pick(SKY_WORDS[scene.sky], rng), pick(GROUND_WORDS[scene.ground], rng)
    return f"{ground} {sky}"


def article(word: str) -> str:
    """A or an."""
    return "an" if word[0] in "aeiou" else "a"


def pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of them."""
    return choices[int(rng.integers(len(choices)))]


def known_words() -> list[str]:
    """Every word of every caption, in lower case: what the text encoder has seen."""
    tables = (SKY_WORDS, GROUND_WORDS, KIND_WORDS, SIZE_WORDS, PLACE_WORDS, SKY_SENTENCES, GROUND_SENTENCES)
    phrases = [phrase for table in tables for choices in table.values() for phrase in choices]
    text = " ".join([*phrases, *OPENINGS, *ENDINGS, *COLOURS, "a an and of with"])
    return sorted(set(re.findall(r"[a-z0-9]+", text.lower())))
