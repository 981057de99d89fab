"""The request bodies that the hosted API's own documents show, sent to a server that runs the real pipelines.

Nothing of a body changes but the host of its pictures, which is one of this machine.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from safelight.inputs import PIXELS
from tests.serving import Served, served

EXAMPLES = sorted((Path(__file__).parent / "data" / "examples").glob("*.json"))
HOST = "https://playgrounds-storage-public.runcomfy.net"
SIZES = {
    "aidc-ai/ovis-image": PIXELS["landscape_4_3"],
    "tongyi-mai/z-image/turbo/controlnet/lora": (512, 384),
    "tongyi-mai/z-image/turbo/inpainting/lora": (512, 384),
    "wan-ai/wan-2-6/image-to-image": (1024, 1024),
}
"""What each body asks for: the size in it, the default, or that of the first picture."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a host that has the pictures of every body, at the same paths."""
    root = tmp_path_factory.mktemp("pictures")
    for example in EXAMPLES:
        for path in _pictures(json.loads(example.read_text("utf-8"))):
            file = root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.linear_gradient("L").resize((512, 384)).convert("RGB").save(file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(pictures: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with its worker that may fetch from that host."""
    data_dir = tmp_path_factory.mktemp("served") / "data"
    with served(data_dir, fetch_allow=pictures.removeprefix("http://"), models_dir="") as running:
        yield running


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem.split(".")[0])
def test_an_example_of_the_documents_is_drawn(server: Served, pictures: str, example: Path) -> None:
    model = example.name.removesuffix(".example.json").replace("__", "/")
    body = example.read_text("utf-8").replace(HOST, pictures)
    with server.http() as http, server.client() as client:
        answer = http.post(
            f"/v1/models/{model}", content=body.encode(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 200, answer.text
        result = client.wait(answer.json()["request_id"])
        assert result["status"] == "succeeded", result
        image = Image.open(io.BytesIO(_public(result["output"]["image"])))
    assert image.size == SIZES[model]
    assert len(image.convert("RGB").getcolors(1 << 24)) > 100
    for lora in result.get("loras", []):
        assert lora["substituted"]


def _public(url: str) -> bytes:
    """What anybody gets there: output URLs need no key."""
    return httpx2.get(url).raise_for_status().content


def _pictures(body: dict[str, object]) -> Iterator[str]:
    for value in body.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text.startswith(HOST):
                yield text.removeprefix(HOST)
