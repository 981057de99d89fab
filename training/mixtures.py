"""Lessons for a model that draws from pictures: one to three reference pictures, a prompt, what it asks for.

The references are numbered in their order, and the prompts name them by their numbers: "the house of image
1 in the scene of image 2" asks for another picture when the references change places. Things stay where
they are in their own pictures, as far from the middle: what is asked can be copied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from training.captions import GROUND_WORDS, KIND_WORDS, SKY_WORDS, article, pick
from training.world import GROUNDS, PLACES, SKIES, Scene, Thing


class Task(StrEnum):
    """What a prompt asks to be done with its references."""

    MOVE = "move"
    """An object of one reference into the scene of the other."""
    GATHER = "gather"
    """The objects of two references into the scene of the third."""
    REPLACE = "replace"
    """A new object in the place of a reference's own."""
    REPAINT = "repaint"
    """Another sky or ground around a reference's object."""


SHARES: Final = {Task.MOVE: 0.55, Task.GATHER: 0.1, Task.REPLACE: 0.15, Task.REPAINT: 0.2}
REFERENCES: Final = {Task.MOVE: 2, Task.GATHER: 3, Task.REPLACE: 1, Task.REPAINT: 1}
"""How many references each task has."""
THINGS: Final = ("object", "object", "thing")
SCENES: Final = (
    "in the scene of image {0}",
    "in image {0}",
    "into image {0}",
    "in the landscape of image {0}",
)


@dataclass(frozen=True)
class Lesson:
    """References in their order, the picture that is asked for, and who is who.

    of: the references, counted from 0, whose objects are wanted; into: the one whose scene is.
    """

    task: Task
    references: tuple[Scene, ...]
    target: Scene
    of: tuple[int, ...]
    into: int

    @staticmethod
    def random(rng: np.random.Generator, task: Task, wide: float = 1) -> Lesson:
        """Choose one; the references' order is by chance.

        wide: how wide the references are when they are as high as the target, as a share of its width.
        """
        count = REFERENCES[task]
        scenes = tuple(_with_thing_at(place, rng) for place in rng.permutation(PLACES)[:count])
        order = [int(number) for number in rng.permutation(count)]
        into, of = order[0], tuple(order[1:])
        target = _target(task, scenes, into, of, rng)
        things = (replace(thing, x=0.5 + (thing.x - 0.5) * wide) for thing in target.things)
        return Lesson(task, scenes, target.with_things(*things), of, into)

    def prompt(self, rng: np.random.Generator) -> str:
        """Ask for the target, in one of several wordings."""
        if self.task is Task.REPLACE:
            (thing,) = self.target.things
            return f"{_thing_words(thing, rng)} {_scene_words(self.into, rng)}"
        if self.task is Task.REPAINT:
            return f"image {self.into + 1} {self._change(rng)}"
        named = " and ".join(self._wanted(number, rng) for number in self.of)
        opening = "put " if rng.random() < 0.25 else ""
        return f"{opening}{named} {_scene_words(self.into, rng)}"

    def exchanged(self) -> Lesson:
        """The same prompt of the same two references in the other order, and what it asks for then."""
        first, second = self.references
        scenes = (second, first)
        target = scenes[self.into].with_things(*scenes[self.of[0]].things)
        return replace(self, references=scenes, target=target)

    def _wanted(self, number: int, rng: np.random.Generator) -> str:
        (thing,) = self.references[number].things
        name = pick(KIND_WORDS[thing.kind], rng) if rng.random() < 0.75 else pick(THINGS, rng)
        coloured = f"{thing.colour} {name}" if rng.random() < 0.3 else name
        joint = "from" if rng.random() < 0.3 else "of"
        return f"the {coloured} {joint} image {number + 1}"

    def _change(self, rng: np.random.Generator) -> str:
        source = self.references[self.into]
        words = []
        if self.target.ground != source.ground:
            words.append(pick(GROUND_WORDS[self.target.ground], rng))
        if self.target.sky != source.sky:
            words.append(pick(SKY_WORDS[self.target.sky], rng))
        return " ".join(words)


def _target(
    task: Task, scenes: tuple[Scene, ...], into: int, of: tuple[int, ...], rng: np.random.Generator
) -> Scene:
    scene = scenes[into]
    (own,) = scene.things
    if task is Task.REPAINT:
        sky = str(rng.choice(SKIES)) if rng.random() < 0.6 else scene.sky
        ground = str(rng.choice([ground for ground in GROUNDS if ground != scene.ground]))
        if sky != scene.sky and rng.random() < 0.6:
            ground = scene.ground
        return replace(scene, sky=sky, ground=ground)
    if task is Task.REPLACE:
        new = Thing.random(rng, own.place)
        return scene.with_things(replace(new, x=own.x))
    return scene.with_things(*(scenes[number].things[0] for number in of))


def _with_thing_at(place: str, rng: np.random.Generator) -> Scene:
    return Scene.random(rng, 1).with_things(Thing.random(rng, place))


def _thing_words(thing: Thing, rng: np.random.Generator) -> str:
    return f"{article(thing.colour)} {thing.colour} {pick(KIND_WORDS[thing.kind], rng)}"


def _scene_words(number: int, rng: np.random.Generator) -> str:
    return pick(SCENES, rng).format(number + 1)
