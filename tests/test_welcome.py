"""What a starting server tells."""

from __future__ import annotations

import io
import json
import shlex
import subprocess

import pytest
from rich.console import Console

from safelight import welcome as welcoming
from safelight.models import base, load_catalogue
from safelight.settings import read_settings
from safelight.welcome import Welcome, curl_command, run_command, show_welcome
from tests.api_server import MODELS, OWNER_KEY
from tests.serving import clean_environment

KEY = "sl_" + "k" * 43


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", clean_environment())
    return read_settings(data_dir=tmp_path, device="cpu", models_dir=MODELS)


def told(settings, new_key=None, is_terminal=False, url="http://127.0.0.1:8000", login_link=None) -> str:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=60, no_color=True)
    catalogue = load_catalogue(settings.models_dir)
    show_welcome(Welcome(settings, url, new_key, catalogue, login_link), console)
    return console.file.getvalue()


def test_a_terminal_is_shown_the_key_and_where_it_is(settings):
    settings.key_file.write_text(KEY)
    text = told(settings, KEY, is_terminal=True)
    assert KEY in text
    assert str(settings.key_file) in text
    assert KEY not in told(settings, None, is_terminal=True)


def test_only_a_terminal_is_shown_the_link_that_logs_in(settings):
    link = "http://127.0.0.1:8000/login#code=abc"
    assert link in told(settings, is_terminal=True, login_link=link)
    text = told(settings, login_link=link)
    assert "abc" not in text
    assert "http://127.0.0.1:8000/login; log in with the API key" in text


def test_anything_else_is_told_the_file_alone(settings):
    settings.key_file.write_text(KEY)
    text = told(settings, KEY)
    assert KEY not in text
    assert str(settings.key_file) in text


def test_a_key_of_the_environment_is_not_repeated(settings):
    given = read_settings(data_dir=settings.data_dir, api_key=OWNER_KEY)
    text = told(given, None, is_terminal=True)
    assert OWNER_KEY not in text
    assert "SAFELIGHT_API_KEY" in text


def test_it_tells_version_device_address_and_which_weights_are_ready(settings):
    text = told(settings, url="http://127.0.0.1:8123")
    assert "Safelight 0.1.0" in text
    assert "http://127.0.0.1:8123\n" in text
    assert "Device   cpu" in text
    assert "test/instant  ready\n" in text
    assert "test/described  listed; this version cannot run it yet\n" in text
    assert "test/weightless  listed; its weights are not installed\n" in text


def test_a_model_with_weights_says_which(settings, monkeypatch, tmp_path):
    (tmp_path / "no-such-family" / "transformer").mkdir(parents=True)
    monkeypatch.setattr(base, "NANO_DIR", tmp_path)
    assert "test/weightless  ready, nano weights\n" in told(settings)


def test_long_lines_are_left_whole_so_that_they_can_be_copied(settings):
    text = told(settings, url="http://127.0.0.1:8123")
    command = curl_command(settings, "http://127.0.0.1:8123")
    assert len(command) > 60
    assert command in text


def test_the_command_names_the_required_fields_and_how_to_find_the_server(settings):
    model = load_catalogue().get("tongyi-mai/z-image/turbo/controlnet/lora")
    words = shlex.split(run_command(settings, "http://127.0.0.1:8123", model))
    assert f"SAFELIGHT_DATA_DIR={settings.data_dir}" in words
    assert "SAFELIGHT_BASE_URL=http://127.0.0.1:8123" in words
    at = words.index("run")
    assert words[at + 1 : at + 5] == [model.id, "prompt=a red house", "image_url=@picture.png", "loras=[]"]


def test_a_usual_start_needs_no_settings_in_the_command(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = read_settings()
    model = load_catalogue().get("aidc-ai/ovis-image")
    assert "SAFELIGHT" not in run_command(usual, "http://127.0.0.1:8000", model)


def test_the_curl_command_works_when_pasted(settings, server):
    settings.key_file.write_text(OWNER_KEY + "\n")
    done = subprocess.run(curl_command(settings, server.url), shell=True, capture_output=True, timeout=30)
    assert json.loads(done.stdout)["total"] > 0


def test_the_program_is_named_as_it_is_called_from_here(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert welcoming._program().endswith("bin/safelight")
