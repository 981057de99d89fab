"""Snippets that run when they are pasted: curl, Python and JavaScript for each call.

They read the key from YOUR_API_TOKEN and, where one is needed, the request's id from REQUEST_ID.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safelight.jobs import Json

TOKEN = "YOUR_API_TOKEN"  # noqa: S105 - a variable's name
REQUEST = "REQUEST_ID"
LABELS = {"bash": "curl", "python": "Python", "javascript": "JavaScript"}


@dataclass(frozen=True)
class Snippet:
    """One call in one language."""

    language: str
    code: str

    @property
    def label(self) -> str:
        """What the language is called."""
        return LABELS[self.language]


Snippets = tuple[Snippet, ...]


def submit(url: str, body: Json) -> Snippets:
    """Send a model its input."""
    return (
        Snippet("bash", _curl("POST", shell_quoted(url), json.dumps(body, indent=2, ensure_ascii=False))),
        Snippet("python", _PYTHON_SUBMIT.format(url=python_literal(url), body=python_literal(body))),
        Snippet("javascript", _JAVASCRIPT_SUBMIT % {"url": _json(url), "body": _json(body)}),
    )


def run(url: str, body: Json) -> Snippets:
    """Send a model its input and wait for what comes of it; with curl, only send it."""
    python = _PYTHON_RUN.format(url=python_literal(url), body=python_literal(body))
    javascript = _JAVASCRIPT_RUN % {"url": _json(url), "body": _json(body)}
    return submit(url, body)[0], Snippet("python", python), Snippet("javascript", javascript)


def call(method: str, base_url: str, action: str) -> Snippets:
    """Ask about one request, or call it off."""
    path = f"{base_url}/v1/requests"
    verb = method.lower()
    return (
        Snippet("bash", _curl(method, f'"{path}/${REQUEST}/{action}"')),
        Snippet("python", _PYTHON_CALL.format(verb=verb, url=f'f"{path}/{{request_id}}/{action}"')),
        Snippet(
            "javascript", _JAVASCRIPT_CALL % {"url": f"`{path}/${{requestId}}/{action}`", "method": method}
        ),
    )


# --- curl -----------------------------------------------------------------------------------------------


def _curl(method: str, url: str, body: str = "") -> str:
    lines = [f"curl --request {method}", f"--url {url}"]
    if body:
        lines.append('--header "Content-Type: application/json"')
    lines.append(f'--header "Authorization: Bearer ${TOKEN}"')
    if body:
        lines.append(f"--data {shell_quoted(body)}")
    return " \\\n  ".join(lines)


def shell_quoted(text: str) -> str:
    """A word for any POSIX shell: in single quotes nothing but a single quote has a meaning."""
    return "'" + text.replace("'", "'\\''") + "'"


# --- Python ---------------------------------------------------------------------------------------------


def python_literal(value: Any, indent: int = 0) -> str:
    """JSON's values as Python writes them, one member a line."""
    inner, outer = "    " * (indent + 1), "    " * indent
    if isinstance(value, Mapping) and value:
        members = [f"{inner}{_python_text(k)}: {python_literal(v, indent + 1)},\n" for k, v in value.items()]
        return "{\n" + "".join(members) + outer + "}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"{inner}{python_literal(v, indent + 1)},\n" for v in value) + outer + "]"
    if isinstance(value, str):
        return _python_text(value)
    return repr(value)


def _python_text(text: str) -> str:
    """JSON's text is Python's too, but for letters beyond the basic plane in \\u escapes, which none is."""
    return json.dumps(text, ensure_ascii=False)


_PYTHON_HEAD = f"""\
import os
import requests

headers = {{{{"Authorization": f"Bearer {{{{os.environ['{TOKEN}']}}}}"}}}}
"""
_PYTHON_SUBMIT = (
    _PYTHON_HEAD
    + """\
body = {body}

answer = requests.post({url}, headers=headers, json=body)
print(answer.json())"""
)
_PYTHON_CALL = (
    _PYTHON_HEAD
    + f"""\
request_id = os.environ["{REQUEST}"]
answer = requests.{{verb}}({{url}}, headers=headers)
print(answer.json())"""
)
_PYTHON_RUN = (
    _PYTHON_HEAD.replace("import os\n", "import os\nimport time\n")
    + """\
body = {body}

answer = requests.post({url}, headers=headers, json=body)
answer.raise_for_status()
result_url = answer.json()["result_url"]

while True:
    result = requests.get(result_url, headers=headers).json()
    if result["status"] not in ("in_queue", "in_progress"):
        break
    time.sleep(1)

print(result.get("output") or result)"""
)


# --- JavaScript -----------------------------------------------------------------------------------------


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


_JAVASCRIPT_HEAD = f"const headers = {{ Authorization: `Bearer ${{process.env.{TOKEN}}}` }};\n"
_JAVASCRIPT_SUBMIT = (
    _JAVASCRIPT_HEAD
    + """\
const body = %(body)s;

const answer = await fetch(%(url)s, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify(body),
});
console.log(await answer.json());"""
)
_JAVASCRIPT_CALL = (
    _JAVASCRIPT_HEAD
    + f"const requestId = process.env.{REQUEST};\n"
    + """\
const answer = await fetch(%(url)s, { method: "%(method)s", headers });
console.log(await answer.json());"""
)
_JAVASCRIPT_RUN = (
    _JAVASCRIPT_HEAD
    + """\
const body = %(body)s;

const answer = await fetch(%(url)s, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify(body),
});
if (!answer.ok) throw new Error(await answer.text());
const { result_url } = await answer.json();

let result;
do {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  result = await (await fetch(result_url, { headers })).json();
} while (["in_queue", "in_progress"].includes(result.status));
console.log(result.output ?? result);"""
)
