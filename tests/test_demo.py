"""`make demo` with models that draw at once: real requests to a real server."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx2
import pytest
from PIL import Image

from tests.api_server import MODELS
from tests.serving import clean_environment

DEMO = """
import sys
from pathlib import Path
import scripts.demo, scripts.examples
scripts.examples.EXAMPLES, scripts.demo.OUT = Path(sys.argv[1]), Path(sys.argv[2])
scripts.demo.main()
"""
GOOD = {"name": "mirror", "model": "test/echo", "input": {"prompt": "a circle", "image_url": "edges.png"}}
PLAIN = {"name": "plain", "model": "test/instant", "input": {"seed": 7, "output_format": "jpeg"}}
BAD = {"name": "bad", "model": "test/instant", "input": {"num_inference_steps": 0}}
LATE = {"name": "late", "model": "test/raises", "input": {}}
ELSEWHERE = {"name": "elsewhere", "model": "test/described", "input": {"image_url": "edges.png"}}


@pytest.fixture
def demo(tmp_path):
    """Runs the demo with these requests; everything is below `tmp_path`."""
    examples = tmp_path / "examples"
    examples.mkdir()
    Image.new("RGB", (64, 48), "navy").save(examples / "edges.png")

    def run(*requests):
        (examples / "requests.json").write_text(json.dumps(requests))
        return subprocess.run(
            [sys.executable, "-c", DEMO, str(examples), str(tmp_path / "demo")],
            env=clean_environment(models_dir=MODELS, device="cpu"),
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_the_images_of_every_ready_model_are_saved_and_told(demo, tmp_path):
    done = demo(GOOD, PLAIN, ELSEWHERE)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "demo"
    with Image.open(out / "mirror.png") as image:
        assert (image.size, image.getpixel((0, 0))) == ((64, 48), (0, 0, 128))
    with Image.open(out / "plain.jpg") as image:
        assert image.format == "JPEG"
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines if line[:1] in (["test/echo"], ["test/instant"])] == [
        ["test/echo", "nano"],
        ["test/instant", "nano"],
    ]
    assert not (out / "elsewhere.png").exists()  # Its model is not ready.
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.height > 2 * 256


def test_a_request_that_fails_is_shown_and_makes_the_demo_fail(demo, tmp_path):
    done = demo(GOOD, BAD, LATE)
    assert done.returncode == 1
    assert (tmp_path / "demo" / "mirror.png").exists()
    assert "bad: num_inference_steps" in done.stdout
    assert "late: The model raised an unexpected error" in done.stdout


def test_without_a_request_it_fails(demo):
    assert demo().returncode == 1


def test_it_leaves_no_server_behind(demo):
    done = demo(PLAIN)
    url = next(
        line.split()[4].rstrip(";") for line in done.stdout.splitlines() if line.startswith("The server")
    )
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)
