"""Requests of every make: none is a server error, and no answer is long."""

from __future__ import annotations

import json
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proofs import count

PARTS = [
    "v1",
    "models",
    "categories",
    "requests",
    "status",
    "result",
    "cancel",
    "balance",
    "prod",
    "v2",
    "api",
]
PARTS += ["cli-auth", "start", "poll", "approve", "keys", "admin", "accounts", "metrics"]
PARTS += ["auth", "me", "files", "healthz", "test", "instant", "echo", "album", "aidc-ai", "ovis-image"]
PARTS += ["A" * 22, "A" * 22 + ".png", "..", "", "%2e%2e", "%00", "%ff", "*", ";", "lora"]
FIELDS = ["prompt", "seed", "num_inference_steps", "output_format", "image_url", "image_urls", "loras", "x"]

paths = st.lists(st.sampled_from(PARTS) | st.binary(max_size=12).map(quote_from_bytes), max_size=7).map(
    "/".join
)
queries = st.dictionaries(
    st.sampled_from(
        ["search", "limit", "offset", "kind", "lang", "include_schema", "include_cost", "category"]
    ),
    st.text(max_size=20),
    max_size=3,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=8,
)
inputs = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), values, max_size=5)
headers = st.dictionaries(
    st.sampled_from(
        ["accept-language", "range", "if-none-match", "content-encoding", "content-type", "accept"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30),
    max_size=3,
)


def harmless(answer):
    assert answer.status_code < 500 or answer.json()["error"]["code"] == "unavailable", answer.text
    if answer.status_code >= 400:
        assert len(answer.content) <= 4096
    if "error_code" in answer.text[:20]:
        assert answer.json()["error_code"] // 1000 in {
            400,
            401,
            403,
            404,
            405,
            409,
            410,
            413,
            415,
            422,
            429,
            503,
        }


@pytest.fixture(scope="module")
def client(server):
    """One for all requests: each new one reads the machine's certificates, which takes longer than asking."""
    with server.client() as opened:
        yield opened


@pytest.mark.proof
@settings(max_examples=count(100, 5000), deadline=None)
@given(st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"]), paths, queries, headers)
def test_any_address(client, method, path, query, head):
    address = f"{str(client.base_url).rstrip('/')}/{path}"
    harmless(client.request(method, address, params=query, headers=head))


@pytest.mark.proof
@settings(max_examples=count(100, 5000), deadline=None)
@given(
    st.sampled_from(
        ["test/instant", "test/album", "aidc-ai/ovis-image", "tongyi-mai/z-image/turbo/inpainting/lora"]
    ),
    inputs.map(json.dumps).map(str.encode) | st.binary(max_size=200),
    queries,
)
def test_any_body(client, model_id, body, query):
    head = {"content-type": "application/json"}
    harmless(client.post(f"/v1/models/{model_id}", content=body, params=query, headers=head))
