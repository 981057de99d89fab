"""A model's documentation: what it says, and that its snippets run when they are pasted."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys

import httpx2
import pytest

from safelight.web import snippets
from safelight.web.snippets import python_literal, shell_quoted
from tests.api_server import OWNER_KEY, PNG, RunningServer, running_server

ANCHORS = (
    "get-started",
    "authentication",
    "reference",
    "submit",
    "monitor",
    "retrieve",
    "cancel",
    "files",
    "input-schema",
    "output-schema",
)
PIXEL = "data:image/png;base64," + base64.b64encode(PNG).decode()
NASTY = """it's "quoted", $HOME `id` \\ back\\nslash, {braces} %s, <b>, 한국어, 🎈,\n a new line"""


@pytest.fixture
def reader(server: RunningServer):
    """Somebody who reads the documentation."""
    with httpx2.Client(base_url=server.url, headers={"accept": "text/html"}, timeout=60) as opened:
        yield opened


def shown(server: RunningServer, model_id: str, language: str = "en") -> str:
    answer = httpx2.get(f"{server.url}/models/{model_id}/api.md", params={"lang": language}, timeout=60)
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    return answer.text


def blocks(markdown: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", markdown, re.S)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_model_has_every_section_and_every_field(reader, server, client, language):
    for model in client.get("/v1/models", params={"limit": 100}).json()["models"]:
        model_id = model["model_id"]
        page = reader.get(f"/models/{model_id}/api", params={"lang": language})
        assert page.status_code == 200, page.text
        for anchor in ANCHORS:
            assert f'id="{anchor}"' in page.text, (model_id, anchor)
            assert f'href="#{anchor}"' in page.text, (model_id, anchor)
        entry = client.get(f"/v1/models/{model_id}", params={"lang": language}).json()
        text = shown(server, model_id, language)
        for name in entry["input_schema"]["properties"]:
            assert f">{name}</code>" in page.text
            assert f"| `{name}`" in text
        schemas = [json.loads(block) for block in blocks(text, "json")]
        assert schemas == [entry["input_schema"], entry["output_schema"]]


def test_the_english_words_are_the_hosted_apis_own(server):
    text = shown(server, "tongyi-mai/z-image/turbo/controlnet/lora")
    for sentence in (
        "For accepted inputs and outputs, see the model’s schema.",
        "and include it on every request as a Bearer token via the `Authorization` header: "
        "`Authorization: Bearer $YOUR_API_TOKEN`.",
        "Submit an asynchronous generation job and immediately receive a `request_id` plus URLs to check "
        "status, fetch results, and cancel.",
        "Recommended limits: images ≤ 50 MB (~4K), videos ≤ 100 MB (~2–5 min @ 720p). "
        "Prefer stable or pre‑signed URLs for private assets.",
    ):
        assert sentence in text


@pytest.mark.parametrize(
    "model_id", ["tongyi-mai/z-image/turbo/inpainting/lora", "test/instant", "test/echo"]
)
@pytest.mark.parametrize(("language", "command"), [("bash", ["bash"]), ("python", [sys.executable])])
def test_the_snippets_run_when_they_are_pasted(server, model_id, language, command):
    submit, status, result, cancel = blocks(shown(server, model_id), language)[-4:]
    environment = os.environ | {"YOUR_API_TOKEN": OWNER_KEY}

    def answer_of(code: str) -> dict[str, object]:
        done = subprocess.run(
            [*command, "-c", code], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        out = done.stdout.strip()
        return json.loads(out) if language == "bash" else eval(out, {})

    environment["REQUEST_ID"] = str(answer_of(submit)["request_id"])
    assert answer_of(status)["status"] == "in_queue"
    assert answer_of(result)["model_id"] == model_id
    assert answer_of(cancel)["outcome"] == "cancelled"


@pytest.mark.parametrize(("language", "program"), [("python", sys.executable), ("javascript", "node")])
def test_the_first_snippet_waits_for_its_image(server, language, program, tmp_path):
    if not shutil.which(program):
        pytest.skip("there is no Node here")
    script = tmp_path / {"python": "run.py", "javascript": "run.mjs"}[language]
    script.write_text(blocks(shown(server, "test/loras"), language)[0])
    environment = os.environ | {"YOUR_API_TOKEN": OWNER_KEY}
    with subprocess.Popen([program, script], env=environment, stdout=subprocess.PIPE, text=True) as running:
        job = None
        while job is None and running.poll() is None:
            job = server.do(server.services.store.claim("worker-1", ["test/loras"]))
        (file_id,) = server.finish(job)
        assert f"{server.url}/files/{file_id}.png" in running.communicate(timeout=60)[0]


@pytest.mark.parametrize("language", ["bash", "python", "javascript"])
def test_a_body_of_any_letters_arrives_as_it_is(server, language, tmp_path):
    programs = {"bash": "bash", "python": sys.executable, "javascript": shutil.which("node")}
    if not programs[language]:
        pytest.skip("there is no Node here")
    made = {
        one.language: one.code
        for one in snippets.submit(f"{server.url}/v1/models/test/echo", {"prompt": NASTY, "image_url": PIXEL})
    }
    script = tmp_path / {"bash": "run.sh", "python": "run.py", "javascript": "run.mjs"}[language]
    script.write_text(made[language])
    environment = os.environ | {"YOUR_API_TOKEN": OWNER_KEY}
    done = subprocess.run(
        [programs[language], script], env=environment, capture_output=True, text=True, timeout=60
    )
    request_id = re.search(r"[A-Za-z0-9_-]{22}", done.stdout)
    assert request_id, done.stdout + done.stderr
    job = server.do(server.services.store.get(request_id[0], "owner"))
    assert job.input["prompt"] == NASTY


def test_quoting_and_literals():
    assert shell_quoted("it's") == "'it'\\''s'"
    value = {"a": [True, None, 1.5, []], "b": {}, "c": "é\n\"'\\"}
    assert eval(python_literal(value), {}) == value


def test_the_examples_pictures_are_given_out_and_accepted(server, client):
    body = {"prompt": "x", "image_url": f"{server.url}/examples/meadow.png"}
    picture = httpx2.get(body["image_url"])
    assert picture.headers["content-type"] == "image/png"
    job = server.do(server.services.store.get(server.submit(client, "test/echo", **body), "owner"))
    file_id = job.input["image_url"].removeprefix("file:")
    assert server.services.files.path(file_id).read_bytes() == picture.content
    for name in ("nothing.png", "requests.json", "__init__.py"):
        assert httpx2.get(f"{server.url}/examples/{name}").status_code == 404
        refused = client.post(
            "/v1/models/test/echo", json=body | {"image_url": f"{server.url}/examples/{name}"}
        )
        assert refused.json()["error"]["code"] == "url_not_allowed"


NEW_MODEL = '''
"""A model that nobody has written a page for."""
from safelight.inputs import ImageUrl, ModelInput, Prompt, field, prompt_field
from safelight.models.base import Model, Weights
from safelight.texts import Text

class FreshInput(ModelInput):
    prompt: Prompt = prompt_field("it's <new>")
    image_url: ImageUrl = field(Text("Image", "이미지"))
    warmth: float = field(Text("Warmth", "온도"), Text("How warm.", "따뜻함."), default=0.5, ge=0, le=1)

class Fresh(Model):
    """Fresh."""
    id = "own/fresh"
    display_name = "Fresh <Model>"
    description = Text("Brand new.", "새 모델입니다.")
    categories = ("sketch-to-image",)
    licence = "MIT"
    weights = Weights(real={})
    gpu_memory_gib = 0.0
    Input = FreshInput
'''


def test_a_new_model_appears_without_touching_a_page(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "fresh.py").write_text(NEW_MODEL)
    with running_server(tmp_path / "data", models_dir=tmp_path / "models") as running:
        catalogue, page, playground = (
            httpx2.get(running.url + path, headers={"accept": "text/html"}).text
            for path in ("/?lang=ko", "/models/own/fresh/api?lang=en", "/models/own/fresh?lang=en")
        )
        assert "Fresh &lt;Model&gt;" in catalogue
        assert "sketch-to-image" in catalogue
        assert "Warmth" in page
        assert "How warm." in page
        assert f"{running.url}/examples/" in page
        assert "&lt;new&gt;" in page
        assert '"warmth"' in playground
        assert "<new>" not in playground
