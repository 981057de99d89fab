"""What runs in the browser, as it ships: small, plain enough for a strict policy, and all its words known."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from safelight.models import load_catalogue
from safelight.web import texts
from safelight.web.playground import image_kinds
from safelight.web.static_files import FOLDER

SOURCES = Path(__file__).parent.parent / "islands" / "src"
SCRIPT = FOLDER / "islands" / "playground.js"
LARGEST_BYTES = 40 * 1024


def test_the_playgrounds_script_is_small():
    assert len(gzip.compress(SCRIPT.read_bytes(), 9)) <= LARGEST_BYTES


def test_the_sources_do_nothing_that_the_policy_forbids():
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://\w"
    for path in SOURCES.rglob("*.ts*"):
        assert not re.findall(forbidden, path.read_text(), re.IGNORECASE), path.name


def test_every_word_of_the_playground_is_in_the_catalogue_and_every_word_there_is_used():
    """Keys that are put together end in what differs: `phase_${phase}`."""
    source = "\n".join(path.read_text() for path in sorted(SOURCES.rglob("*.ts*")))
    said = set(re.findall(r'say\(\s*"(\w+)"', source))
    starts = set(re.findall(r"(?:say\(|texts\[)`(\w+_)\$\{", source))
    known = set(texts.playground.TEXTS)
    page = {"title", "documentation", "needs_script"}
    assert said - known == set()
    unused = {key for key in known - said - page if not any(key.startswith(start) for start in starts)}
    assert unused == set()
    assert {"phase_", "said_", "timing_", "choice_", "weights_"} == starts


def test_masks_are_told_from_pictures():
    catalogue = load_catalogue(None)
    inpainting = catalogue.get("tongyi-mai/z-image/turbo/inpainting/lora")
    assert image_kinds(inpainting) == {"image_url": "image", "mask_image_url": "mask"}
    assert image_kinds(catalogue.get("aidc-ai/ovis-image")) == {}
    assert image_kinds(catalogue.get("wan-ai/wan-2-6/image-to-image")) == {"image_urls": "image"}
