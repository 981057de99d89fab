"""Output files: what their URLs answer, and what they never do."""

from __future__ import annotations

import pytest

from tests.api_server import PNG


@pytest.fixture
def image(server, client):
    (file_id,) = server.finish(server.claim(server.submit(client)))
    return f"/files/{file_id}.png"


@pytest.fixture
def public(server):
    with server.client(key=None) as opened:
        yield opened


def test_an_image_needs_no_key_and_can_do_nothing(public, image):
    answer = public.get(image)
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(PNG))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["content-disposition"] == f'inline; filename="{image.removeprefix("/files/")}"'
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"


def test_head_tells_the_size(public, image):
    answer = public.head(image)
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == str(len(PNG))


def test_what_is_unchanged_is_not_sent_again(public, image):
    etag = public.get(image).headers["etag"]
    answer = public.get(image, headers={"if-none-match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag
    assert public.get(image, headers={"if-none-match": f'"other", W/{etag}'}).status_code == 304
    assert public.get(image, headers={"if-none-match": '"other"'}).status_code == 200


def test_ranges(public, image):
    part = public.get(image, headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, PNG[1:4])
    assert public.get(image, headers={"range": "bytes=-4"}).content == PNG[-4:]
    assert public.get(image, headers={"range": "bytes=60-"}).content == PNG[60:]
    assert part.headers["content-range"] == f"bytes 1-3/{len(PNG)}"
    beyond = public.get(image, headers={"range": "bytes=1000-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(PNG)}"


@pytest.mark.parametrize(
    "ranges",
    [
        "bytes=x",
        "bytes=",
        "lines=1-2",
        "bytes=3-1",
        "bytes=--1",
        "bytes=0-0,-1",
        "bytes=" + "9" * 5000 + "-",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(2500)),
        "bytes=" + "0-," * 5000,
    ],
    ids=lambda ranges: ranges[:20],
)
def test_odd_ranges_are_harmless(public, image, ranges):
    answer = public.get(image, headers={"range": ranges})
    assert (answer.status_code, answer.content) == (200, PNG)


@pytest.mark.parametrize(
    "name",
    [
        "AAAAAAAAAAAAAAAAAAAAAA.png",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "x.png",
        "..%2f..%2fsafelight.db",
        "../../safelight.db",
        "%2e%2e/%2e%2e/safelight.db",
        "....//....//etc/passwd",
        "%00.png",
        "AAAAAAAAAAAAAAAAAAAAAA.png%00",
        "AAAAAAAAAAAAAAAAAAAAAA.png%0a",
        "a" * 5000 + ".png",
        "%ED%A0%80.png",
        "",
    ],
)
def test_no_other_path_leads_to_a_file(public, name):
    answer = public.get(f"/files/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_another_extension_is_another_name(public, image):
    assert public.get(image.replace(".png", ".jpg")).status_code == 404
    assert public.get(image.replace(".png", ".html")).status_code == 404


def test_a_deleted_file_is_not_found(server, public, image):
    server.services.files.path(image.removeprefix("/files/").removesuffix(".png")).unlink()
    assert public.get(image).status_code == 404
