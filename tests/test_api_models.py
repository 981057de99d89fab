"""The catalogue over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SCHEMAS = Path(__file__).parent / "data" / "schemas"
IDS = [
    "aidc-ai/ovis-image",
    "tongyi-mai/z-image/turbo/controlnet/lora",
    "tongyi-mai/z-image/turbo/inpainting/lora",
    "wan-ai/wan-2-6/image-to-image",
]
NAMES = {
    "Ovis-Image": "text-to-image",
    "Z-Image Turbo ControlNet + LoRA": "image-to-image",
    "Z-Image Turbo Inpainting + LoRA": "image-to-image",
    "Wan 2.6 Image to Image": "image-to-image",
}
ENTRY = {
    "model_id": str,
    "display_name": str,
    "description": str,
    "categories": list,
    "kind": str,
    "base_price_usd": float,
    "price_unit": str,
    "pricing_note": str,
    "weights": (str, type(None)),
    "ready": bool,
    "licence": str,
}


def seed(model_id, kind):
    return json.loads((SCHEMAS / f"{model_id.replace('/', '__')}.{kind}.json").read_text())


def ordered(value):
    """JSON text: equal only when the order of keys is, too."""
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("model_id", IDS)
def test_the_published_schemas_are_the_seeds(client, model_id):
    lang = "ko" if "wan" in model_id else "en"
    entry = client.get(f"/v1/models/{model_id}", params={"lang": lang}).json()
    assert entry["input_schema"] == seed(model_id, "input")
    assert entry["output_schema"] == seed(model_id, "output")
    assert list(entry["input_schema"]["properties"]) == list(seed(model_id, "input")["properties"])


def test_the_language_may_come_as_a_header(client):
    path = "/v1/models/wan-ai/wan-2-6/image-to-image"
    korean = client.get(path, headers={"accept-language": "de, ko-KR;q=0.9, en;q=0.5"}).json()
    assert korean["input_schema"] == seed("wan-ai/wan-2-6/image-to-image", "input")
    english = client.get(path).json()
    assert english["input_schema"]["properties"]["seed"]["title"] == "Seed"
    assert english["description"] != korean["description"]


def test_the_whole_list(client):
    page = client.get("/v1/models", params={"limit": 100}).json()
    entries = {entry["model_id"]: entry for entry in page["models"]}
    assert set(IDS) < set(entries)
    assert page["total"] == len(entries)
    assert page["object"] == "list"
    assert page["data"] == [{"id": name, "object": "model"} for name in entries]
    for entry in entries.values():
        assert set(entry) == set(ENTRY)
        for name, kind in ENTRY.items():
            assert isinstance(entry[name], kind), name
        assert entry["kind"] == "model"
        assert entry["price_unit"] == "output"
    ours = {entries[name]["display_name"]: entries[name]["categories"][0] for name in IDS}
    assert ours == NAMES


@pytest.mark.parametrize("model", ["test/described", "test/weightless"])
def test_a_model_without_engine_or_weights_is_not_ready(client, model):
    entry = client.get(f"/v1/models/{model}").json()
    assert (entry["ready"], entry["weights"]) == (False, None)
    instant = client.get("/v1/models/test/instant").json()
    assert (instant["ready"], instant["weights"]) == (True, "nano")


def test_pages_follow_each_other(client):
    total = client.get("/v1/models").json()["total"]
    ids = []
    for offset in range(0, total + 5, 5):
        page = client.get("/v1/models", params={"limit": 5, "offset": offset}).json()
        assert page["total"] == total
        ids += [entry["model_id"] for entry in page["models"]]
    assert len(ids) == len(set(ids)) == total


def test_the_default_page_has_20(client):
    page = client.get("/v1/models").json()
    assert len(page["models"]) == min(20, page["total"])


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"search": "INPAINTING"}, ["tongyi-mai/z-image/turbo/inpainting/lora"]),
        ({"search": "ovis"}, ["aidc-ai/ovis-image"]),
        ({"search": "no such thing"}, []),
        ({"category": "text-to-image", "search": "ovis"}, ["aidc-ai/ovis-image"]),
        ({"category": "image-to-image", "search": "ovis"}, []),
        ({"category": "image-to-imag"}, []),
        ({"kind": "workflow"}, []),
        ({"kind": "model", "search": "ovis"}, ["aidc-ai/ovis-image"]),
    ],
)
def test_filters(client, parameters, expected):
    page = client.get("/v1/models", params=parameters).json()
    assert [entry["model_id"] for entry in page["models"]] == expected
    assert page["total"] == len(expected)


def test_schemas_come_when_asked_for(client):
    page = client.get("/v1/models", params={"search": "ovis", "include_schema": "true"}).json()
    assert page["models"][0]["input_schema"] == seed("aidc-ai/ovis-image", "input")
    assert page["models"][0]["output_schema"] == seed("aidc-ai/ovis-image", "output")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=ten",
        "limit=1.5",
        "limit=",
        "limit=%D9%A3",
        f"limit={'9' * 5000}",
        "offset=-1",
        "offset=x",
        "include_schema=maybe",
    ],
)
def test_a_senseless_parameter_is_named(client, query):
    answer = client.get(f"/v1/models?{query}")
    assert answer.status_code == 422
    assert answer.json()["error_code"] == 422001
    assert answer.json()["error"]["fields"][0]["field"] == query.split("=")[0]


def test_categories(client):
    assert client.get("/v1/models/categories").json() == {"categories": ["image-to-image", "text-to-image"]}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_model_names_the_nearest(client, method):
    answer = client.request(method, "/v1/models/aidc-ai/ovis-imag", json={})
    assert answer.status_code == 404
    assert answer.json()["error_code"] == 400001
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "aidc-ai/ovis-image" in answer.json()["error_message"]


def test_an_encoded_slash_is_a_slash(client):
    assert client.get("/v1/models/aidc-ai%2Fovis-image").json()["model_id"] == "aidc-ai/ovis-image"
