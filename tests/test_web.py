"""The pages as they leave the server."""

from __future__ import annotations

import json
import re

import httpx2
import pytest

from safelight.web import texts
from safelight.web.formats import usd
from safelight.web.static_files import digest, static_files, static_url
from tests.api_server import RunningServer

PAGES = ("/", "/?search=zzz", "/login", "/models/aidc-ai/ovis-image", "/no-such-page")
HTML = {"accept": "text/html"}


@pytest.fixture
def visitor(server: RunningServer):
    """Somebody with a browser."""
    with httpx2.Client(base_url=server.url, headers=HTML, timeout=60) as opened:
        yield opened


@pytest.mark.parametrize("path", PAGES)
def test_every_page_carries_a_strict_policy_and_nothing_inline(visitor, path):
    answer = visitor.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "trusted-types 'none'" in policy
    assert not re.search(r"<script(?![^>]*(src=|application/json))|<style|\sstyle=|\son\w+=", answer.text)
    assert not re.search(r'(src|href|action)="(?!/|#|\?)', answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_its_frame_in_both_languages(visitor, path):
    for language in ("en", "ko"):
        page = visitor.get(path, params={"lang": language}).text
        assert page.startswith("<!doctype html>")
        assert f'<html lang="{language}"' in page
        assert 'href="#content"' in page


def test_the_language_is_kept_and_the_browsers_own_comes_first(visitor):
    assert 'lang="ko"' in visitor.get("/", headers={"accept-language": "ko-KR,ko;q=0.9"}).text[:60]
    visitor.get("/?lang=ko")
    assert 'lang="ko"' in visitor.get("/login").text[:60]
    visitor.get("/?lang=en")
    assert 'lang="en"' in visitor.get("/login").text[:60]


def test_the_colours_are_kept(visitor, server):
    assert "data-theme" not in visitor.get("/").text
    form = {"theme": "dark", "next": "/login"}
    answer = visitor.post("/preferences", data=form, headers={"origin": server.url})
    assert answer.headers["location"] == "/login"
    assert 'data-theme="dark"' in visitor.get("/login").text


def test_the_catalogue_finds_models(visitor):
    assert "Ovis-Image" in visitor.get("/").text
    found = visitor.get("/", params={"search": "inpaint"}).text
    assert "Inpainting" in found
    assert "Ovis-Image" not in found
    assert "“&lt;b&gt;”" in visitor.get("/", params={"search": "<b>"}).text
    assert "Ovis-Image" not in visitor.get("/", params={"category": "image-to-image"}).text


def test_the_playgrounds_data_is_the_catalogues_entry_with_its_order(visitor, client):
    path = "tongyi-mai/z-image/turbo/inpainting/lora"
    page = visitor.get(f"/models/{path}", params={"lang": "ko"}).text
    data = json.loads(re.search(r'id="playground-data">(.*?)</script>', page)[1])
    entry = client.get(f"/v1/models/{path}", params={"lang": "ko"}).json()
    assert data["model"] == entry
    assert list(data["model"]["input_schema"]["properties"]) == list(entry["input_schema"]["properties"])
    assert data["account"] is None
    assert set(data["texts"]) == set(texts.playground.TEXTS)


def test_programs_get_the_apis_own_errors_and_people_a_page(visitor, server):
    assert "<h1>" in visitor.get("/no-such-page").text
    assert "<h1>" in visitor.get("/models/no/such").text
    for path in ("/v1/models/no/such", "/no-such-page"):
        assert httpx2.get(server.url + path).headers["content-type"] == "application/json"
    assert visitor.get("/v1/balance").headers["content-type"] == "application/json"


def test_files_under_the_digest_are_kept_for_good_and_others_are_asked_for_again(visitor):
    answer = visitor.get(static_url("site.css"))
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == static_files()["site.css"].content
    for path in ("/static/site.css", f"/static/{'0' * 16}/site.css"):
        assert visitor.get(path).headers["cache-control"] == "no-cache"
    again = visitor.get("/static/site.css", headers={"if-none-match": f'"{digest()}"'})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["../site.py", "%2e%2e/site.py", "/etc/passwd", "site.py", ""])
def test_nothing_else_is_a_static_file(visitor, path):
    assert visitor.get(f"/static/{path}").status_code == 404


def test_every_text_fits_its_places_in_both_languages():
    for key, text in texts.ALL.items():
        places = [set(re.findall(r"\{(\w+)\}", words)) for words in (text.en, text.ko)]
        assert places[0] == places[1], key
        assert text.en.strip(), key


@pytest.mark.parametrize(("amount", "shown"), [(0.0025, "$0.0025"), (1.5, "$1.50"), (0, "$0.00")])
def test_amounts_are_shown_as_exact_as_they_are(amount, shown):
    assert usd(amount) == shown
