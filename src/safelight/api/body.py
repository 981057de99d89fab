"""Reading a JSON body: strictly, with a bound on everything before anything is built from it."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from safelight.api.long_strings import LONG_BYTES, NOT_UTF8, cut_long_strings, put_back
from safelight.errors import BodyTooLarge, InvalidJson, UnsupportedMediaType
from safelight.jobs import Json
from safelight.texts import Text

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
    return await read_bytes(request, MAX_BODY_BYTES, _TOO_LARGE)


_COMPRESSED = Text(
    "Send the body without a Content-Encoding; compressed bodies are not read.",
    "Content-Encoding 없이 보내 주세요. 압축된 본문은 읽지 않습니다.",
)
_TOO_LARGE = Text(
    f"The body is over {MAX_BODY_BYTES // 10**6} MB; give large images as https:// URLs.",
    f"본문이 {MAX_BODY_BYTES // 10**6}MB를 넘습니다. 큰 이미지는 https:// URL로 보내 주세요.",
)


async def read_bytes(request: Request, limit_bytes: int, too_large: Text) -> bytes:
    """The bytes of a body. Raises BodyTooLarge, as soon as that is known."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise BodyTooLarge(too_large)
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
        if size_bytes > limit_bytes:
            raise BodyTooLarge(too_large)
    return b"".join(chunks)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises InvalidJson for whatever RFC 8259 or our bounds do not allow."""
    if len(body) <= LONG_BYTES:
        return _parse(body)
    if body.count(b'"') > MAX_TOKENS:
        raise InvalidJson(_TOO_MANY)
    rest, strings = cut_long_strings(body.strip(b" \t\r\n"))
    if len(rest) > MAX_REST_BYTES:
        raise BodyTooLarge(_TOO_LARGE_REST)
    if sum(map(rest.count, _TOKEN_BYTES)) > MAX_TOKENS:
        raise InvalidJson(_TOO_MANY)
    return put_back(_parse(rest), strings)


_TOO_LARGE_REST = Text(
    f"The body is over {MAX_REST_BYTES // 10**6} MB besides its images.",
    f"이미지를 뺀 본문이 {MAX_REST_BYTES // 10**6}MB를 넘습니다.",
)
_TOO_MANY = Text(f"The JSON has more than {MAX_TOKENS} values.", f"JSON의 값이 {MAX_TOKENS}개를 넘습니다.")


def _parse(body: bytes) -> Any:
    if _is_too_deep(body):
        raise InvalidJson(_TOO_DEEP)
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidJson(NOT_UTF8) from None
    except json.JSONDecodeError as error:
        raise InvalidJson(_unreadable(error)) from None
    if b"\\u" in body:
        _refuse_broken_text(value)
    return value


_TOO_DEEP = Text(
    f"The JSON is nested deeper than {MAX_DEPTH} levels.", f"JSON이 {MAX_DEPTH}단계보다 깊습니다."
)
_BROKEN_TEXT = Text(
    "Strings must not contain NUL or lone surrogates.",
    "문자열에 NUL이나 짝이 없는 서로게이트를 넣을 수 없습니다.",
)


def _unreadable(error: json.JSONDecodeError) -> Text:
    return Text(
        f"The body is not valid JSON: {error.msg} at character {error.pos}.",
        f"본문이 올바른 JSON이 아닙니다. {error.pos}번째 문자: {error.msg}",
    )


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
        raise InvalidJson(_BROKEN_TEXT)
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
        raise InvalidJson(Text("An object has the same key twice.", "객체에 같은 키가 두 번 있습니다."))
    return value


def _integer(digits: str) -> int:
    if len(digits) > 400:
        raise InvalidJson(Text("A number has more than 400 digits.", "400자리가 넘는 숫자가 있습니다."))
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise InvalidJson(Text("A number is too large.", "너무 큰 숫자가 있습니다."))
    return value


def _no_number(name: str) -> NoReturn:
    raise InvalidJson(Text(f"{name} is not a JSON number.", f"{name}은(는) JSON 숫자가 아닙니다."))


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_no_number
)
