import json
from dataclasses import asdict

import numpy as np
import pytest

from training import maps
from training.captions import caption, full_caption, known_words, long_caption, short_caption
from training.latents import scene_of
from training.paint import draw
from training.world import COLOURS, KINDS, PLACES, Scene, Thing


def scenes(count: int, things: int | None = None) -> list[Scene]:
    return [Scene.random(np.random.default_rng([4, number]), things) for number in range(count)]


def test_a_scene_looks_the_same_every_time_and_at_every_size() -> None:
    for scene in scenes(4):
        picture = draw(scene, 256, 192)
        assert np.array_equal(picture, draw(scene, 256, 192))
        larger = draw(scene, 512, 384).reshape(192, 2, 256, 2, 3).mean((1, 3))
        assert np.abs(larger - picture).mean() < 10


def test_an_object_covers_its_mask_and_nothing_else() -> None:
    for scene in scenes(6, things=1):
        inside = maps.mask(scene, 256, 256) > 127
        without = draw(scene.with_things(), 256, 256).astype(int)
        changed = np.abs(draw(scene, 256, 256) - without).max(2) > 12
        assert changed[inside].mean() > 0.9
        left, top, right, bottom = maps.box(scene, 256, 256)
        assert inside[top:bottom, left:right].sum() == inside.sum()


def test_every_map_has_the_size_of_the_picture_and_shows_the_object() -> None:
    (scene,) = scenes(1, things=1)
    scene = scene.with_things(Thing("person", "red", "large", 0.5, 0.9, 0.5))
    picture = draw(scene, 320, 192)
    for kind in ("edges", "depth", "shape", "pose"):
        found = maps.control(scene, picture, kind)
        assert found.shape == (192, 320, 3)
        inside = maps.mask(scene, 320, 192) > 127
        assert found[inside].max() > 100


def test_a_full_caption_names_colour_object_and_place() -> None:
    for scene in scenes(20, things=1):
        (thing,) = scene.things
        text = full_caption(scene, np.random.default_rng(1))
        assert thing.colour in text
        assert {"left": "left", "centre": "middle", "right": "right"}[thing.place] in text


def test_a_long_caption_keeps_what_a_short_one_names() -> None:
    for scene in scenes(40):
        rng = np.random.default_rng(2)
        short, long = short_caption(scene, rng).lower().split(), long_caption(scene, rng).lower()
        for colour in set(COLOURS) & set(short):
            assert colour in long


def test_every_word_of_every_caption_is_known() -> None:
    known = set(known_words())
    for scene in scenes(60):
        rng = np.random.default_rng(3)
        for write in (caption, full_caption, short_caption, long_caption):
            words = write(scene, rng).lower().replace(",", " ").replace(".", " ").split()
            assert set(words) <= known


def test_all_kinds_colours_and_places_occur() -> None:
    things = [thing for scene in scenes(400) for thing in scene.things]
    assert {thing.kind for thing in things} == set(KINDS)
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.place for thing in things} == set(PLACES)


def test_a_scene_survives_its_json() -> None:
    for scene in scenes(5):
        assert scene_of(json.loads(json.dumps(asdict(scene)))) == scene


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_object_can_be_painted_in_every_colour(kind: str) -> None:
    (scene,) = scenes(1, things=1)
    pictures = {
        colour: draw(scene.with_things(Thing(kind, colour, "large", 0.5, 0.8, 0.5)), 96, 96)
        for colour in COLOURS
    }
    assert len({picture.tobytes() for picture in pictures.values()}) == len(COLOURS)
