"""Bodies that people will try. None may be a server error, and none may be answered at length."""

from __future__ import annotations

import gzip
import json
import socket
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.api import long_strings
from safelight.api.body import MAX_BODY_BYTES, MAX_DEPTH, parse_json
from safelight.errors import BodyTooLarge, InvalidJson
from tests.api_server import OWNER_KEY

PATH = "/v1/models/test/instant"
JSON = {"content-type": "application/json"}


def post(client, body, **headers):
    return client.post(
        PATH, content=body, headers=JSON | {k.replace("_", "-"): v for k, v in headers.items()}
    )


def refused(answer, status, code):
    assert answer.status_code == status, answer.text[:500]
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error_message"] == answer.json()["error"]["message"]
    assert len(answer.content) <= 4096


@pytest.mark.parametrize(
    "body",
    {
        "empty": b"",
        "blank": b"  \n",
        "cut off": b'{"prompt": "a',
        "trailing bytes": b'{"prompt": "a"} x',
        "two values": b"{}{}",
        "invalid UTF-8": b'{"prompt": "\xff\xfe"}',
        "UTF-8 surrogates": b'{"prompt": "\xed\xa0\x80"}',
        "UTF-16": '{"prompt": "a"}'.encode("utf-16"),
        "UTF-16 without a BOM": '{"prompt": "a"}'.encode("utf-16-le"),
        "UTF-32": '{"prompt": "a"}'.encode("utf-32"),
        "a BOM": b'\xef\xbb\xbf{"prompt": "a"}',
        "NaN": b'{"seed": NaN}',
        "Infinity": b'{"seed": Infinity}',
        "-Infinity": b'{"seed": -Infinity}',
        "1e999": b'{"seed": 1e999}',
        "depth 65": b'{"prompt": ' + b"[" * 64 + b"]" * 64 + b"}",
        "depth 100 000": b"[" * 100_000 + b"]" * 100_000,
        "depth 49 000": b"[" * 49_000 + b"]" * 49_000,
        "depth in objects": b'{"a":' * 100 + b"1" + b"}" * 100,
        "duplicate keys": b'{"seed": 1, "seed": 2}',
        "duplicate keys by escape": b'{"seed": 1, "\\u0073eed": 2}',
        "duplicate keys below": b'{"loras": [{"path": "a", "path": "b"}]}',
        "5000 digits": b'{"seed": ' + b"9" * 5000 + b"}",
        "raw control character": b'{"prompt": "a\x00b"}',
        "lone surrogate": b'{"prompt": "\\ud800"}',
        "lone surrogate in a key": b'{"\\udfff": 1}',
        "NUL": b'{"prompt": "a\\u0000b"}',
        "NUL in a key": b'{"a\\u0000b": 1}',
        "single quotes": b"{'prompt': 'a'}",
        "comment": b"{} // done",
        "many numbers": b"[" + b"1," * 200_000 + b"1]",
        "many strings": b"[" + b'"",' * 100_000 + b"1]",
        "many escapes": b'{"prompt": "' + b"\\u0041" * 200_000 + b'"}',
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_no_json_is_400(client, body):
    refused(post(client, body[1]), 400, "invalid_json")


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b'"text"', b"1", b"true", b"null"])
def test_json_that_is_no_object_is_422(client, body):
    refused(post(client, body), 422, "invalid_input")


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ({"seed": 2**63}, "seed"),
        ({"seed": 2**53}, "seed"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": "12"}, "seed"),
        ({"seed": int("9" * 300)}, "seed"),
        ({"num_inference_steps": 10**9}, "num_inference_steps"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 1e308}, "num_inference_steps"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompts": "a"}, "prompts"),
        ({"__proto__": {}}, "__proto__"),
        ({"constructor": 1}, "constructor"),
        ({"output_format": "gif"}, "output_format"),
        ({"x" * 5000: 1}, None),
        ({f"field{n}": 1 for n in range(5000)}, None),
        ({"seed": "z" * 100_000}, "seed"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_422_and_named(client, fields, culprit):
    answer = client.post(PATH, json=fields)
    refused(answer, 422, "invalid_input")
    named = [problem["field"] for problem in answer.json()["error"]["fields"]]
    assert culprit is None or named == [culprit]


def test_a_whole_float_is_an_integer(client):
    assert client.post(PATH, content=b'{"seed": 8.0}', headers=JSON).status_code == 200


def test_a_long_prompt_is_refused_by_the_models_own_limit(client):
    prompt = "a" * 1_000_000
    answer = client.post("/v1/models/aidc-ai/ovis-image", json={"prompt": prompt})
    refused(answer, 422, "invalid_input")
    assert "20000" in answer.json()["error_message"]


def test_a_message_comes_in_the_language_asked_for(client):
    korean = client.post(f"{PATH}?lang=ko", json={"seed": 1.5}).json()["error_message"]
    assert "정수" in korean
    assert "정수" in client.post(PATH, json={"seed": 1.5}, headers={"accept-language": "ko"}).text
    assert "integer" in client.post(PATH, json={"seed": 1.5}).text


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "json",
    ],
)
def test_another_content_type_is_415(client, kind):
    refused(client.post(PATH, content=b"{}", headers={"content-type": kind}), 415, "unsupported_media_type")


def test_no_content_type_is_415(client):
    refused(client.post(PATH, content=b"{}"), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON;charset=UTF-8", 'application/json; charset="utf-8"']
)
def test_json_by_any_of_its_names_is_read(client, kind):
    assert client.post(PATH, content=b"{}", headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
def test_a_compressed_body_is_415(client, encoding):
    refused(post(client, gzip.compress(b"{}"), content_encoding=encoding), 415, "unsupported_media_type")


def test_90_mb_with_a_content_length_are_413(client):
    refused(post(client, b" " * 90_000_000), 413, "body_too_large")
    assert client.get("/v1/balance").status_code == 200


def test_90_mb_in_chunks_are_413(client):
    refused(post(client, (b" " * 1_000_000 for _ in range(90))), 413, "body_too_large")


def test_a_declared_size_is_judged_before_the_body_comes(server):
    """The answer is there although not a byte of the body was sent, and no 100 Continue invited it."""
    target = urlsplit(server.url)
    with socket.create_connection((target.hostname, target.port)) as connection:
        connection.settimeout(10)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OWNER_KEY}\r\n"
        head += "Expect: 100-continue\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_clients_that_leave_harm_nobody(server, client):
    target = urlsplit(server.url)
    for body in (b"", b'{"prompt": "a'):
        with socket.create_connection((target.hostname, target.port)) as connection:
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OWNER_KEY}\r\n"
            head += "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
            connection.sendall(head.encode() + body)
    assert client.get("/v1/balance").status_code == 200


def nested(depth):
    return json.dumps(json.loads("[" * depth + "]" * depth)).encode()


def test_depth_is_bounded_and_brackets_in_strings_do_not_count():
    assert parse_json(nested(MAX_DEPTH)) is not None
    with pytest.raises(InvalidJson, match="deeper"):
        parse_json(nested(MAX_DEPTH + 1))
    assert parse_json(json.dumps({"a": '["\\' * 500}).encode()) == {"a": '["\\' * 500}
    assert len(parse_json(b"[" + b"[]," * 500 + b"1]")) == 501


LONG = "a/b" * 50_000


@pytest.mark.parametrize(
    "value",
    [
        {"a": LONG},
        {"a": [LONG, {"b": LONG, "c": 1}], "d": "short"},
        {"a": LONG + 'x"y\\', "b": LONG},
        {"a": "\\" * 400 + LONG, "b": "\\" * 400},
        {"a": "한" * 100_000, "b": LONG + "\n"},
        LONG,
        [LONG, "\\", LONG],
    ],
    ids=range(7),
)
@pytest.mark.parametrize("escape", [False, True])
def test_long_strings_are_read_like_others(value, escape):
    text = json.dumps(value, ensure_ascii=False)
    assert parse_json((text.replace("/", "\\/") if escape else text).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b"a" * 100_000 + b'\n"]',
        b'["' + b"a" * 100_000 + b'\xff"]',
        b'["' + b"a" * 100_000,
        b'["' + b"a" * 100_000 + b'" "b"]',
        b'["' + b"\\" * 200_000 + b'"]',
        b'{"a": "' + b"a" * 100_000 + b'", "a": 1}',
        b'["' + b"\\u0041" * 20_000 + b'\\ud800"]',
    ],
    ids=range(7),
)
def test_broken_long_strings_are_refused(body):
    with pytest.raises(InvalidJson):
        parse_json(body)


def test_the_search_for_the_end_of_a_string_is_bounded():
    with pytest.raises(InvalidJson, match="1000 backslashes in a row"):
        parse_json(b'["' + b"\\" * 100_000 + b'"]')


def test_what_is_large_and_no_image_is_413():
    with pytest.raises(BodyTooLarge):
        parse_json(b"[" + b" " * 9_000_000 + b"]")


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii", min_codepoint=32)), inner)
    ),
)


@given(JSON_VALUES, st.booleans())
def test_whatever_json_says_is_read_back(value, escaped):
    body = json.dumps(value, ensure_ascii=escaped).encode()
    assert parse_json(body) == value
    with pytest.MonkeyPatch.context() as patch:  # as if every string were long
        patch.setattr(long_strings, "LONG_BYTES", 0)
        rest, strings = long_strings.cut_long_strings(body)
    assert long_strings.put_back(json.loads(rest), strings) == value


@given(st.binary() | st.text(alphabet='{}[]",:\\u0d8 1eE+-.').map(str.encode))
def test_anything_else_is_invalid_json(body):
    try:
        expected = json.loads(body.decode("utf-8"))
    except ValueError:
        with pytest.raises(InvalidJson):
            parse_json(body)
    else:
        with suppress(InvalidJson):
            assert parse_json(body) == expected
