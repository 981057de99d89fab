"""The published schemas equal the seeds', and every input is judged field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safelight.errors import InvalidInput
from safelight.inputs import image_fields
from safelight.models import Catalogue, load_catalogue
from safelight.schema import OUTPUT_SCHEMA, published_schema
from safelight.texts import Language

SCHEMAS = Path(__file__).parent / "data" / "schemas"
CONTROLNET = "tongyi-mai/z-image/turbo/controlnet/lora"
INPAINTING = "tongyi-mai/z-image/turbo/inpainting/lora"
OVIS = "aidc-ai/ovis-image"
WAN = "wan-ai/wan-2-6/image-to-image"
ALL = (CONTROLNET, INPAINTING, OVIS, WAN)

VALID: dict[str, dict[str, Any]] = {
    CONTROLNET: {"prompt": "a red house", "image_url": "https://example.org/a.png", "loras": []},
    INPAINTING: {
        "prompt": "a red house",
        "image_url": "https://example.org/a.png",
        "mask_image_url": "https://example.org/m.png",
    },
    OVIS: {"prompt": "a red house"},
    WAN: {"prompt": "a red house", "image_urls": ["https://example.org/a.png"]},
}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def seed_file(model_id: str, kind: str) -> Any:
    return json.loads((SCHEMAS / f"{model_id.replace('/', '__')}.{kind}.json").read_text("utf-8"))


def same_json(one: Any, other: Any) -> bool:
    """Equal with types: 1 is not 1.0 and not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("model_id", ALL)
def test_a_published_schema_equals_the_hosted_one(catalogue: Catalogue, model_id: str) -> None:
    language = Language.KO if model_id == WAN else Language.EN
    ours = published_schema(catalogue.get(model_id).Input, language)
    theirs = seed_file(model_id, "input")
    assert same_json(ours, theirs)
    assert list(ours["properties"]) == list(theirs["properties"])
    assert ours["required"] == theirs["required"]
    assert same_json(OUTPUT_SCHEMA, seed_file(model_id, "output"))


@pytest.mark.parametrize("model_id", ALL)
def test_a_schema_differs_between_languages_in_words_alone(catalogue: Catalogue, model_id: str) -> None:
    schemas = [published_schema(catalogue.get(model_id).Input, language) for language in Language]
    english, korean = (schema["properties"] for schema in schemas)
    for name in english:
        assert not _has_hangul(english[name]["title"] + english[name]["description"])
        assert _has_hangul(korean[name]["title"]), name
        assert bool(english[name]["description"]) == bool(korean[name]["description"])
        words = {"title", "description", "items", "validations"}
        assert {k: v for k, v in english[name].items() if k not in words} == {
            k: v for k, v in korean[name].items() if k not in words
        }


def _has_hangul(text: str) -> bool:
    return any("가" <= letter <= "힣" for letter in text)


@pytest.mark.parametrize("model_id", ALL)
def test_the_hosted_example_bodies_are_accepted(catalogue: Catalogue, model_id: str) -> None:
    assert catalogue.get(model_id).Input.parse(seed_file(model_id, "example"))


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (CONTROLNET, {"control_scale": 1.5}, "control_scale", "must be between 0 and 1; got 1.5"),
    (CONTROLNET, {"control_scale": "0.5"}, "control_scale", 'must be a number; got "0.5"'),
    (CONTROLNET, {"control_scale": True}, "control_scale", "must be a number; got true"),
    (CONTROLNET, {"num_inference_steps": 9}, "num_inference_steps", "must be between 1 and 8; got 9"),
    (CONTROLNET, {"num_inference_steps": 10**30}, "num_inference_steps", "must be"),
    (CONTROLNET, {"num_inference_steps": 7.5}, "num_inference_steps", "must be an integer; got 7.5"),
    (CONTROLNET, {"num_inference_steps": True}, "num_inference_steps", "must be an integer; got true"),
    (CONTROLNET, {"num_inference_steps": "8"}, "num_inference_steps", 'must be an integer; got "8"'),
    (CONTROLNET, {"seed": -1}, "seed", "must be between 0 and 9007199254740991, or null"),
    (CONTROLNET, {"seed": 2**63}, "seed", "must be"),
    (CONTROLNET, {"seed": 1.5}, "seed", "must be an integer; got 1.5"),
    (
        CONTROLNET,
        {"control_start": 0.8, "control_end": 0.4},
        "control_start",
        "must not be greater than control_end",
    ),
    (CONTROLNET, {"control_scael": 1}, "control_scael", "did you mean control_scale?"),
    (CONTROLNET, {"__proto__": {}}, "__proto__", "is not a field"),
    (CONTROLNET, {"prompt": "   "}, "prompt", "must not be empty"),
    (CONTROLNET, {"prompt": "x" * 20_001}, "prompt", "must have at most 20000 characters; got 20001"),
    (CONTROLNET, {"prompt": "a\0b"}, "prompt", "NUL"),
    (CONTROLNET, {"prompt": "a\ud800b"}, "prompt", "must be valid Unicode text"),
    (CONTROLNET, {"prompt": None}, "prompt", "must be a string; got null"),
    (CONTROLNET, {"image_url": ""}, "image_url", "must not be empty"),
    (CONTROLNET, {"loras": None}, "loras", "must be a list; got null"),
    (CONTROLNET, {"loras": [{"path": "a/b"}] * 4}, "loras", "must have at most 3 items; got 4"),
    (CONTROLNET, {"loras": [{"path": "", "scale": 1}]}, "loras[0].path", "must not be empty"),
    (CONTROLNET, {"loras": [{"path": "a/b", "scale": 1e308}]}, "loras[0].scale", "must be between 0 and 4"),
    (CONTROLNET, {"loras": [{"path": "a/b", "strength": 1}]}, "loras[0].strength", "path, scale"),
    (CONTROLNET, {"loras": ["a/b"]}, "loras[0]", "must be an object"),
    (CONTROLNET, {"preprocess": "hed"}, "preprocess", "must be one of none, canny, depth, pose"),
    (CONTROLNET, {"enable_prompt_expansion": 1}, "enable_prompt_expansion", "must be true or false; got 1"),
    (CONTROLNET, {"image_size": "huge"}, "image_size", "must be one of square_hd, square,"),
    (CONTROLNET, {"output_format": "gif"}, "output_format", 'must be one of jpeg, png, webp; got "gif"'),
    (OVIS, {"guidance_scale": 0.5}, "guidance_scale", "must be between 1 and 20; got 0.5"),
    (WAN, {"prompt": "x" * 2000}, "prompt", "must have at most 1999 characters; got 2000"),
    (WAN, {"negative_prompt": "x" * 501}, "negative_prompt", "must have at most 500 characters; got 501"),
    (WAN, {"image_urls": []}, "image_urls", "must have at least 1 items; got 0"),
    (WAN, {"image_urls": ["https://e.org/a.png"] * 4}, "image_urls", "must have at most 3 items; got 4"),
    (WAN, {"seed": 2**31}, "seed", "must be between 0 and 2147483647"),
]


@pytest.mark.parametrize(("model_id", "change", "field", "message"), REFUSED)
def test_a_bad_value_is_refused_with_its_field_and_what_would_work(
    catalogue: Catalogue, model_id: str, change: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        catalogue.get(model_id).Input.parse({**VALID[model_id], **change})
    problems = {problem.field: problem.message for problem in caught.value.fields}
    assert message in problems[field]
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(("model_id", "change", "field", "message"), REFUSED)
def test_a_refusal_speaks_korean_too(
    catalogue: Catalogue, model_id: str, change: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        catalogue.get(model_id).Input.parse({**VALID[model_id], **change}, Language.KO)
    assert all(_has_hangul(problem.message) for problem in caught.value.fields)


@pytest.mark.parametrize("model_id", ALL)
def test_each_required_field_must_be_there(catalogue: Catalogue, model_id: str) -> None:
    input_class = catalogue.get(model_id).Input
    for name in published_schema(input_class)["required"]:
        body = {key: value for key, value in VALID[model_id].items() if key != name}
        with pytest.raises(InvalidInput) as caught:
            input_class.parse(body)
        assert [(problem.field, problem.message) for problem in caught.value.fields] == [
            (name, "is required")
        ]


@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_a_body_that_is_no_object_is_refused(catalogue: Catalogue, body: object) -> None:
    with pytest.raises(InvalidInput, match="JSON object"):
        catalogue.get(OVIS).Input.parse(body)


def test_whole_floats_are_integers_and_integers_are_floats(catalogue: Catalogue) -> None:
    parsed = catalogue.get(OVIS).Input.parse({"prompt": "x", "num_inference_steps": 8.0, "guidance_scale": 4})
    assert parsed.settled()["num_inference_steps"] == 8
    assert parsed.settled()["guidance_scale"] == 4.0


def test_a_null_seed_is_drawn_and_a_given_one_kept(catalogue: Catalogue) -> None:
    input_class = catalogue.get(OVIS).Input
    drawn = {input_class.parse({"prompt": "x", "seed": None}).settled()["seed"] for _ in range(8)}
    assert len(drawn) == 8
    assert input_class.parse({"prompt": "x", "seed": 7}).settled()["seed"] == 7


def test_an_accepted_input_reads_back_as_it_was(catalogue: Catalogue) -> None:
    for model_id in ALL:
        input_class = catalogue.get(model_id).Input
        settled = input_class.parse(VALID[model_id]).settled()
        assert input_class.accepted(settled).settled() == settled


def test_image_fields_are_known_by_their_type(catalogue: Catalogue) -> None:
    assert tuple(image_fields(catalogue.get(CONTROLNET).Input)) == ("image_url",)
    assert tuple(image_fields(catalogue.get(INPAINTING).Input)) == ("image_url", "mask_image_url")
    assert tuple(image_fields(catalogue.get(OVIS).Input)) == ()
    assert tuple(image_fields(catalogue.get(WAN).Input)) == ("image_urls",)
