"""What goes wrong is told in every language that Safelight speaks."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from safelight import errors
from safelight.api.wire import error_body
from safelight.errors import SafelightError, SettingsError
from safelight.texts import Language, Text

SOURCES = sorted(Path(errors.__file__).parent.rglob("*.py"))
OPERATORS_OWN = {"SettingsError", "PullFailed", "HubRefused", "HubUnreachable"}
"""Read in the operator's own terminal, in English."""

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, SafelightError) and kind.__name__ not in OPERATORS_OWN
]


def has_hangul(text: str) -> bool:
    return any("가" <= character <= "힣" for character in text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_message_in_every_language(kind):
    text = kind("code", None).text if kind is errors.GenerationFailed else kind().text
    assert text.en
    assert "ko" in vars(kind)
    assert has_hangul(text.ko)
    assert not has_hangul(text.en)


def test_no_error_is_raised_with_words_of_one_language():
    names = {kind.__name__ for kind in KINDS} - {"GenerationFailed"}  # It begins with a code.
    found = []
    for path in SOURCES:
        for call in ast.walk(ast.parse(path.read_text())):
            is_ours = isinstance(call, ast.Call) and call.args and getattr(call.func, "id", "") in names
            if is_ours and isinstance(call.args[0], ast.Constant | ast.JoinedStr):
                found.append(f"{path.name}:{call.lineno}")
    assert found == []


def test_an_operators_error_is_in_english():
    assert SettingsError("a setting makes no sense").text.ko == "a setting makes no sense"


@pytest.mark.parametrize("language", Language)
def test_words_behind_a_name_keep_it(language):
    text = Text("is required", "필수 항목입니다").after("prompt ")
    body = error_body(errors.InvalidInput(text), language).decode()
    assert text.within(language) in body
    assert text.within(language).startswith("prompt ")


@pytest.mark.parametrize(
    ("method", "path", "code", "words"),
    [
        ("GET", "/v1/requests/unknown/result", "not_found", "그런 요청이 없습니다."),
        ("GET", "/nowhere", "not_found", "여기에는 그런 것이 없습니다."),
        ("PUT", "/v1/models", "method_not_allowed", "이 주소는 그 메서드를 받지 않습니다."),
        ("POST", "/v1/models/no/model", "model_not_found", "그런 모델이 없습니다."),
        ("POST", "/v1/models/test/instant", "unsupported_media_type", "본문을 application/json"),
        ("GET", "/v1/models?limit=x", "invalid_input", "limit 1에서 100 사이의 정수여야 합니다"),
    ],
)
def test_an_answer_speaks_the_language_that_was_asked_for(client, method, path, code, words):
    by_query = f"{path}{'&' if '?' in path else '?'}lang=ko"
    for answer in (
        client.request(method, by_query),
        client.request(method, path, headers={"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.5"}),
    ):
        assert answer.json()["error"]["code"] == code
        assert answer.json()["error_message"].startswith(words)
        assert answer.json()["error"]["message"] == answer.json()["error_message"]
    assert not has_hangul(client.request(method, path).text)


def test_who_has_no_key_is_told_so_in_the_language_that_was_asked_for(server):
    with server.client(key=None) as anyone:
        assert has_hangul(anyone.get("/v1/balance?lang=ko").json()["error_message"])
        assert not has_hangul(anyone.get("/v1/balance").json()["error_message"])
