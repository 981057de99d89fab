"""docs/api.md: its examples run, its answers have the shape that they show, and no route is left out."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from safelight import errors
from safelight.errors import JobFailure, SafelightError
from tests.receivers import running_receiver
from tests.serving import served

DOCS = Path(__file__).parents[1] / "docs" / "api.md"
BASE = "http://127.0.0.1:8000"
QUICKER = {'"loras": []\n': '"loras": [], "num_inference_steps": 1\n'}
"""What is sent instead: the way that pictures take is looked at, and not they."""
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """A command, and the answer that is shown for it."""

    command: str
    kind: str
    answer: str


def examples() -> list[Example]:
    blocks = FENCE.findall(DOCS.read_text())
    commands = [at for at, (kind, _) in enumerate(blocks) if kind == "sh"]
    return [Example(blocks[at][1], *blocks[at + 1]) for at in commands]


@pytest.fixture(scope="module")
def receiver():
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def at(tmp_path_factory, receiver):
    settings = {"pricing": "default.usd = 0.01", "fetch_allow": f"127.0.0.1:{receiver.port}"}
    with served(tmp_path_factory.mktemp("docs") / "data", **settings) as server:
        yield server


def test_every_example_does_what_it_shows(at, receiver, tmp_path):
    here = {BASE: at.url, "https://example.org/hook": receiver.url(), **QUICKER}
    known: dict[str, str] = {}
    for example in examples():
        command = example.command
        for shown, meant in here.items():
            command = command.replace(shown, meant)
        for name in sorted(known, key=len, reverse=True):
            command = re.sub(rf"(?<!\$)\b{name}\b", known[name], command)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env=os.environ | {"KEY": at.key},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, (command, done.stderr)
        if example.kind == "json":
            answer = json.loads(done.stdout)
            assert_shape(json.loads(example.answer), answer, command)
            known |= remembered(answer, known)
        else:
            for line in example.answer.replace(BASE, at.url).splitlines():
                assert re.sub(r"\d", "0", line) in re.sub(r"\d", "0", done.stdout), command


def assert_shape(shown: Any, answer: Any, where: str) -> None:
    """What is shown is there, with the same kind of value; the answer may say more."""
    if isinstance(shown, dict):
        assert isinstance(answer, dict), where
        for name, value in shown.items():
            assert name in answer, (where, name, answer)
            assert_shape(value, answer[name], f"{where}: {name}")
    elif isinstance(shown, list):
        assert isinstance(answer, list), where
        if shown and isinstance(shown[0], dict):
            assert answer, where
            assert_shape(shown[0], answer[0], where)
    elif isinstance(shown, str) and "…" not in shown and not re.match(r"\d{4}-|sl_|[A-Z]{4}-", shown):
        assert answer == shown, where
    elif isinstance(shown, bool):
        assert answer is shown, where
    elif isinstance(shown, int | float):
        assert isinstance(answer, int | float), where


def remembered(answer: Any, known: dict[str, str]) -> dict[str, str]:
    """What later examples refer to: `REQUEST_ID` is the last request, `REQUEST_ID_1` the first."""
    if not isinstance(answer, dict):
        return {}
    found = {name.upper(): value for name, value in answer.items() if isinstance(value, str)}
    for nested in (answer.get("output"), *answer.get("deliveries", ())[:1]):
        found |= remembered(nested, {})
    if "REQUEST_ID" in found:
        found.setdefault("REQUEST_ID_1", known.get("REQUEST_ID_1", found["REQUEST_ID"]))
    if "@" in found.get("EMAIL", ""):
        found["ACCOUNT"] = found["ID"]
    return {name: value for name, value in found.items() if re.fullmatch(r"[A-Z_0-9]+", name)}


def test_every_route_has_an_example(at):
    with at.http() as http:
        paths = http.get("/openapi.json").json()["paths"]
    shown = {called(command) for example in examples() for command in commands_of(example)}
    missing = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if not re.match(r"/v1/models/(?!\{)(?!categories)", path)  # the models' own paths are one route
        and not any(fits(path, method, *call) for call in shown)
    }
    assert not missing


def commands_of(example: Example) -> list[str]:
    joined = example.command.replace("\\\n", " ").replace(" IMAGE", f" {BASE}/files/a.png")
    return [line for line in re.split(r"\n(?=curl|until)", joined) if BASE in line]


def called(command: str) -> tuple[str, str]:
    """The method and the path of a curl command."""
    path = re.search(rf"{BASE}([^\s\"'?]*)", command)[1]
    told = re.search(r"-X (\w+)", command)
    has_body = re.search(r" (-d|-F|--data-binary) ", command)
    return (told[1] if told else "POST" if has_body else "GET"), path


def fits(template: str, method: str, called_method: str, path: str) -> bool:
    pattern = re.sub(r"\\\{(\w+)\\\}", r".+" if "model_id" in template else r"[^/]+", re.escape(template))
    return method.upper() == called_method and re.fullmatch(pattern, path) is not None


def test_every_error_is_in_the_table():
    table = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \|$", DOCS.read_text(), re.MULTILINE)
    told = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SafelightError)
    ]
    answers = {
        (str(kind.http_status), str(kind.error_code), kind.code)
        for kind in told
        if not issubclass(kind, JobFailure) and kind.http_status != 500
    }
    assert answers == set(table)
    failures = {kind.code for kind in told if issubclass(kind, JobFailure) and kind is not JobFailure}
    assert failures <= set(re.findall(r"`(\w+)`", DOCS.read_text()))
