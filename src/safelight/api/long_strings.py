"""Long strings of a JSON text, taken out before it is parsed and put back afterwards.

Images come as data URIs of many megabytes. Python's parser would walk them character by character and hold up
the whole process meanwhile; finding, cutting and decoding them in one piece takes a fraction of that.
"""

from __future__ import annotations

import secrets
from typing import Any

from safelight.errors import InvalidJson
from safelight.texts import Text

LONG_BYTES = 64 * 1024

MAX_BACKSLASHES = 1000

_CONTROL = bytes(range(0x20))


def cut_long_strings(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Put a short name into the place of every long string.

    Returns the shorter text, and what each name stands for. Strings with escapes other than `\\/`, which some
    writers make of every slash, stay where they are. Raises InvalidJson for what no string may hold.
    """
    secret = secrets.token_hex(8)  # nobody can write a name into the body that we take for ours
    strings: dict[str, str] = {}
    kept: list[bytes] = []
    done = at = 0
    while (start := body.find(b'"', at)) >= 0 and (end := _end_of_string(body, start)) >= 0:
        at = end + 1
        text = body[start + 1 : end].replace(b"\\/", b"/") if end - start > LONG_BYTES else b"\\"
        if b"\\" not in text:
            name = f"{secret}{len(strings)}"
            strings[name] = _decoded(text)
            kept += (body[done : start + 1], name.encode())
            done = end
    return b"".join((*kept, body[done:])), strings


def put_back(value: Any, strings: dict[str, str]) -> Any:
    """The parsed value with the strings in their places."""
    if isinstance(value, str):
        return strings.get(value, value)
    if isinstance(value, dict):
        return {strings.get(name, name): put_back(item, strings) for name, item in value.items()}
    if isinstance(value, list):
        return [put_back(item, strings) for item in value]
    return value


def _end_of_string(body: bytes, start: int) -> int:
    """Where the closing quote is; -1: nowhere."""
    end = body.find(b'"', start + 1)
    while end >= 0 and _is_escaped(body, end):
        end = body.find(b'"', end + 1)
    return end


def _is_escaped(body: bytes, at: int) -> bool:
    before = body[max(0, at - MAX_BACKSLASHES) : at]
    run = len(before) - len(before.rstrip(b"\\"))
    if run == MAX_BACKSLASHES:
        raise InvalidJson(_TOO_MANY_BACKSLASHES)
    return run % 2 == 1


def _decoded(text: bytes) -> str:
    if len(text.translate(None, _CONTROL)) != len(text):
        raise InvalidJson(Text("A string holds control characters.", "문자열에 제어 문자가 있습니다."))
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJson(NOT_UTF8) from None


NOT_UTF8 = Text("The body must be UTF-8.", "본문은 UTF-8이어야 합니다.")
_TOO_MANY_BACKSLASHES = Text(
    f"A string holds {MAX_BACKSLASHES} backslashes in a row.",
    f"문자열에 백슬래시가 연달아 {MAX_BACKSLASHES}개 있습니다.",
)
