"""What is logged: allow-listed fields, one JSON object a line."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import safelight
from safelight.logs import ALLOWED, MAX_CHARACTERS, only_allowed

SOURCES = Path(safelight.__file__).parent


def test_a_field_that_is_not_listed_is_dropped_by_name():
    event = {"event": "job_failed", "job_id": "x", "prompt": "a secret", "token": "sl_1"}
    assert only_allowed(None, "info", event) == {
        "event": "job_failed",
        "job_id": "x",
        "dropped": ["prompt", "token"],
    }


def test_a_long_text_is_cut():
    kept = only_allowed(None, "info", {"event": "x", "reason": "r" * 10_000})
    assert len(kept["reason"]) == MAX_CHARACTERS


def test_no_module_logs_a_field_that_is_not_listed():
    logged = {
        (path.name, keyword.arg)
        for path in SOURCES.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and _is_logging(call.func)
        for keyword in call.keywords
        if keyword.arg
    }
    assert len(logged) > 20
    assert not {(module, name) for module, name in logged if name not in ALLOWED}


def _is_logging(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "log"
    )


def test_without_a_terminal_a_line_is_json():
    code = "import structlog; from safelight.logs import configure_log; configure_log();"
    code += "structlog.get_logger().info('job_failed', job_id='빨강', prompt='a secret')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line = json.loads(done.stderr)
    assert line.pop("timestamp")
    assert line == {"event": "job_failed", "job_id": "빨강", "level": "info", "dropped": ["prompt"]}
