"""Reading a JSON body: strictly, with a bound on everything before anything is built from it."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from safelight.api.long_strings import LONG_BYTES, cut_long_strings, put_back
from safelight.errors import BodyTooLarge, InvalidJson, UnsupportedMediaType
from safelight.jobs import Json

MAX_BODY_BYTES = 80 * 10**6
MAX_DEPTH = 64
MAX_TOKENS = 100_000
"""Commas, quotes, brackets and backslashes: many times what the longest prompt can hold. More would keep the
parser busy for seconds."""

MAX_REST_BYTES = 8 * 10**6
"""What a body may hold besides long strings without escapes, such as data URIs."""

_JSON_TYPE = re.compile(rb'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)
_TOKENS = re.compile(rb'"(?:[^"\\]+|\\.)*+"?|[\[{\]}]', re.DOTALL)
_TOKEN_BYTES = (b",", b'"', b"[", b"{", b"\\")
_SURROGATES = re.compile("[\ud800-\udfff\0]")


async def read_json_body(request: Request) -> bytes:
    """The bytes of a body that says it is JSON. Raises UnsupportedMediaType and BodyTooLarge."""
    headers: dict[bytes, bytes] = dict(request.scope["headers"])
    if not _JSON_TYPE.fullmatch(headers.get(b"content-type", b"")):
        raise UnsupportedMediaType
    return await read_body(request)


async def read_body(request: Request) -> bytes:
    """The bytes of a body of any kind. Raises UnsupportedMediaType when compressed, and BodyTooLarge."""
    headers: dict[bytes, bytes] = dict(request.scope["headers"])
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType(_COMPRESSED)
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise BodyTooLarge(_TOO_LARGE)
    return await _read(request)


_COMPRESSED = "Send the body without a Content-Encoding; compressed bodies are not read."
_TOO_LARGE = f"The body is over {MAX_BODY_BYTES // 10**6} MB; give large images as https:// URLs."


async def _read(request: Request) -> bytes:
    chunks: list[bytes] = []
    size_bytes = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message["body"])
        size_bytes += len(message["body"])
        more = message["more_body"]
        if size_bytes > MAX_BODY_BYTES:
            raise BodyTooLarge(_TOO_LARGE)
    return b"".join(chunks)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises InvalidJson for whatever RFC 8259 or our bounds do not allow."""
    if len(body) <= LONG_BYTES:
        return _parse(body)
    if body.count(b'"') > MAX_TOKENS:
        raise InvalidJson(_TOO_MANY)
    rest, strings = cut_long_strings(body.strip(b" \t\r\n"))
    if len(rest) > MAX_REST_BYTES:
        raise BodyTooLarge(f"The body is over {MAX_REST_BYTES // 10**6} MB besides its images.")
    if sum(map(rest.count, _TOKEN_BYTES)) > MAX_TOKENS:
        raise InvalidJson(_TOO_MANY)
    return put_back(_parse(rest), strings)


_TOO_MANY = f"The JSON has more than {MAX_TOKENS} values."


def _parse(body: bytes) -> Any:
    if _is_too_deep(body):
        raise InvalidJson(f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidJson("The body must be UTF-8.") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"The body is not valid JSON: {error.msg} at character {error.pos}.") from None
    if b"\\u" in body:
        _refuse_broken_text(value)
    return value


def _is_too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _TOKENS.finditer(body):
        first = token.group()[:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            return True
    return False


def _refuse_broken_text(value: Any) -> None:
    """Escapes can spell what no UTF-8 text and no database holds: lone surrogates and NUL."""
    if isinstance(value, str) and _SURROGATES.search(value):
        raise InvalidJson("Strings must not contain NUL or lone surrogates.")
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_broken_text(name)
            _refuse_broken_text(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_broken_text(item)


def _object(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidJson("An object has the same key twice.")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 400:
        raise InvalidJson("A number has more than 400 digits.")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise InvalidJson("A number is too large.")
    return value


def _no_number(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not a JSON number.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_no_number
)
