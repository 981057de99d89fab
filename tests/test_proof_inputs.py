"""Proof 16: whatever is sent, no server error, no long answer, and the event loop is never held up.

A stall is measured in processor time of the loop's thread: on a busy machine time passes for other reasons.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
import zlib
from collections.abc import Iterator

import pytest

from safelight.api import body
from safelight.api.wire import MAX_ERROR_BYTES
from tests.api_server import RunningServer, running_server
from tests.proofs import count

pytestmark = pytest.mark.proof

MAX_STALL_S = 0.25
LARGE = count(6_000_000, 79_000_000)
INPAINTING = "/v1/models/tongyi-mai/z-image/turbo/inpainting/lora"


class LoopWatch:
    """Measures the longest turn of an event loop."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.worst_s = 0.0

    def __enter__(self) -> LoopWatch:
        self._task = asyncio.run_coroutine_threadsafe(self._watch(), self._server.loop)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.do(asyncio.sleep(0.02))  # The last turn counts too.
        self._task.cancel()

    async def _watch(self) -> None:
        last_s = time.thread_time()
        while True:
            await asyncio.sleep(0.002)
            now_s = time.thread_time()
            self.worst_s = max(self.worst_s, now_s - last_s)
            last_s = now_s


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("inputs")) as running:
        yield running


def harmless(answer) -> None:
    assert answer.status_code < 500 or answer.json()["error"]["code"] == "unavailable", answer.text[:500]
    assert answer.status_code < 400 or len(answer.content) <= MAX_ERROR_BYTES


def filled(before: bytes, unit: bytes, after: bytes = b"") -> bytes:
    return before + unit * ((LARGE - len(before) - len(after)) // len(unit)) + after


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


BODIES = {
    "nothing": b"",
    "cut off": b'{"prompt": "a',
    "trailing": b'{"prompt": "a"} x',
    "invalid UTF-8": b'{"prompt": "\xff"}',
    "UTF-16": '{"prompt": "a"}'.encode("utf-16"),
    "a BOM": b'\xef\xbb\xbf{"prompt": "a"}',
    "NaN": b'{"seed": NaN}',
    "1e999": b'{"guidance_scale": 1e999}',
    "a list": b"[]",
    "duplicate keys": b'{"seed": 1, "seed": 2}',
    "5000 digits": b'{"seed": ' + b"9" * 5000 + b"}",
    "surrogate": b'{"prompt": "\\ud800"}',
    "NUL": b'{"prompt": "\\u0000"}',
    "proto": b'{"__proto__": {"a": 1}}',
    "seed 2^63": b'{"seed": 9223372036854775808}',
    "scale 1e308": b'{"loras": [{"path": "a/b", "scale": 1e308}]}',
    "four LoRAs": json.dumps({"loras": [{"path": "a/b"}] * 4}).encode(),
    "depth": filled(b"", b"["),
    "objects": filled(b"", b'{"a":'),
    "commas": filled(b"[", b"1,", b"1]"),
    "quotes": filled(b"[", b'"",', b'""]'),
    "backslashes": filled(b'{"prompt": "', b"\\\\", b'"}'),
    "escapes": filled(b'{"prompt": "', b"\\u0061", b'"}'),
    "one string": filled(b'{"prompt": "', b"a", b'"}'),
    "control characters": filled(b'{"prompt": "', b"\x01", b'"}'),
    "white space": filled(b'{"prompt": ""', b" ", b"}"),
    "digits": filled(b'{"seed": ', b"9", b"}"),
    "keys": filled(b"{", b'"k":1,', b'"k":1}'),
    "a data URI": filled(b'{"prompt": "a", "image_url": "data:image/png;base64,', b"iVBORw0KGgoA", b'"}'),
    "a data URI that is none": filled(b'{"prompt": "a", "image_url": "data:image/png;base64,', b"!", b'"}'),
    "a long URL": filled(b'{"prompt": "a", "image_url": "https://example.org/', b"a", b'"}'),
}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_holds_up_the_server(server, name):
    with server.client() as client, LoopWatch(server) as watch:
        for path in ("/v1/models/test/echo", INPAINTING, "/v1/images/generations"):
            harmless(client.post(path, content=BODIES[name], headers={"content-type": "application/json"}))
    assert watch.worst_s < MAX_STALL_S


FILES = {
    "HTML": b"<html><script>alert(1)</script>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "TIFF": b"II*\0\x08\0\0\0",
    "170 megapixels": png(13_000, 13_000, b"\0" * 1000),
    "65000 wide": png(65_000, 2),
    "no pixels": png(0, 0),
    "cut off": png(8, 8, b"\0" * 200)[:40],
    "a polyglot": png(8, 8, b"\0" * 200) + b"PK\x03\x04" * 1000,
    "a GIF": b"GIF89a\x01\0\x01\0\0\0\0;",
    "a WebP without an end": b"RIFF\xff\xff\xff\xffWEBPVP8L",
    "a JPEG of markers": b"\xff\xd8" + b"\xff\xe0\0\x02" * 200_000,
    "PNG chunks without end": b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0tEXt\0\0\0\0" * 300_000,
}


@pytest.mark.parametrize("name", FILES)
def test_no_file_holds_up_the_server(server, name):
    uri = f"data:image/png;base64,{base64.b64encode(FILES[name]).decode()}"
    with server.client() as client, LoopWatch(server) as watch:
        for path, field in (("/v1/models/test/echo", "image_url"), ("/v1/models/test/album", "image_urls")):
            harmless(client.post(path, json={field: [uri] if field.endswith("s") else uri}))
    assert watch.worst_s < MAX_STALL_S


def form(parts: bytes, boundary: bytes = b"b") -> tuple[bytes, str]:
    return parts, f"multipart/form-data; boundary={boundary.decode('latin-1')}"


def part(content: bytes, about: bytes = b'; name="prompt"', *headers: bytes) -> bytes:
    head = b"\r\n".join((b"Content-Disposition: form-data" + about, *headers))
    return b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


FORMS = {
    "many parts": form(part(b"x") * 20_000 + b"--b--"),
    "many headers": form(b"--b\r\n" + b"X-Y: z\r\n" * 100_000 + b"\r\nx\r\n--b--"),
    "a header without end": form(b"--b\r\nX-Y: " + b"z" * 2_000_000),
    "no end": form(part(b"x") * 10),
    "nearly boundaries": form(part(b"\r\n--" * (LARGE // 4)) + b"--b--"),
    "a long boundary": form(b"--" + b"b" * 20_000 + b"\r\n", b"b" * 20_000),
    "an odd boundary": form(part(b"x"), b'";\\'),
    "a bad encoding": form(part(b"!", b'; name="a"', b"Content-Transfer-Encoding: base64") + b"--b--"),
    "no name": form(part(b"x", b"") + b"--b--"),
    "a large text": form(part(b"x" * LARGE) + b"--b--"),
    "a large file": form(part(b"x" * LARGE, b'; name="image"; filename="a"') + b"--b--"),
}


@pytest.mark.parametrize("name", FORMS)
def test_no_form_holds_up_the_server(server, name):
    content, kind = FORMS[name]
    with server.client() as client, LoopWatch(server) as watch:
        harmless(client.post("/v1/images/edits", content=content, headers={"content-type": kind}))
    assert watch.worst_s < MAX_STALL_S


# --- The proof of the proof -----------------------------------------------------------------------------


def test_a_stall_is_noticed(server):
    async def stall() -> None:
        end_s = time.thread_time() + 0.3
        while time.thread_time() < end_s:
            pass

    with LoopWatch(server) as watch:
        server.do(asyncio.sleep(0.01))
        server.do(stall())
    assert watch.worst_s >= MAX_STALL_S


def test_without_the_bound_on_values_a_body_would_hold_it_up(server, monkeypatch):
    monkeypatch.setattr(body, "MAX_TOKENS", 10**9)
    monkeypatch.setattr(body, "MAX_REST_BYTES", 10**9)
    values = b"[" + b'{"a":1},' * 300_000 + b"1]"
    monkeypatch.setattr("safelight.api.submission.INLINE_BYTES", 10**9)
    with server.client() as client, LoopWatch(server) as watch:
        client.post("/v1/models/test/echo", content=values, headers={"content-type": "application/json"})
    assert watch.worst_s >= MAX_STALL_S
