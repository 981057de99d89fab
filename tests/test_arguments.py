"""`field=value` on the command line, by a model's published schema."""

from __future__ import annotations

import base64

import click
import pytest

from safelight.arguments import read_fields
from safelight.models.z_image_controlnet import ControlNetInput
from safelight.schema import published_schema

SCHEMA = published_schema(ControlNetInput)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("prompt=a red house", {"prompt": "a red house"}),
        ("prompt=1=2", {"prompt": "1=2"}),
        ("prompt=", {"prompt": ""}),
        ("prompt=12", {"prompt": "12"}),
        ("num_inference_steps=4", {"num_inference_steps": 4}),
        ("control_scale=0.5", {"control_scale": 0.5}),
        ("enable_prompt_expansion=true", {"enable_prompt_expansion": True}),
        ("seed=null", {"seed": None}),
        ("loras=[]", {"loras": []}),
        ('loras=[{"path":"a/b","scale":0.5}]', {"loras": [{"path": "a/b", "scale": 0.5}]}),
        ("image_url=https://example.org/a.png", {"image_url": "https://example.org/a.png"}),
        ("no_such_field=x", {"no_such_field": "x"}),  # The server names the nearest one.
    ],
)
def test_a_value_gets_the_type_that_the_schema_names(pair, expected):
    assert read_fields((pair,), SCHEMA) == expected


def test_a_file_becomes_a_data_uri(tmp_path):
    (tmp_path / "edges.png").write_bytes(b"\x89PNG")
    expected = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    assert read_fields((f"image_url=@{tmp_path}/edges.png",), SCHEMA) == {"image_url": expected}


def test_a_list_holds_files_and_addresses(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    schema = {"properties": {"images": {"type": "array"}}}
    values = read_fields((f"images=@{tmp_path}/a.jpg,https://example.org/b.png",), schema)["images"]
    assert values == ["data:image/jpeg;base64,eA==", "https://example.org/b.png"]


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [
        ("prompt", "'prompt' is no field=value"),
        ("num_inference_steps=four", "num_inference_steps must be an integer; got 'four'"),
        ("control_scale=", "control_scale must be a number; got ''"),
        ("enable_prompt_expansion=yes", "enable_prompt_expansion must be true or false; got 'yes'"),
        ("loras=[a", "loras must be a JSON list"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_would_work(pair, complaint):
    with pytest.raises(click.UsageError) as caught:
        read_fields((pair,), SCHEMA)
    assert complaint in caught.value.message


def test_a_missing_file_is_told_by_its_name(tmp_path):
    with pytest.raises(click.FileError) as caught:
        read_fields((f"image_url=@{tmp_path}/nothing.png",), SCHEMA)
    assert "nothing.png" in caught.value.format_message()
