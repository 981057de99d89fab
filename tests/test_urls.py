"""The one URL parser: what it refuses, and that it hands on exactly what it understood."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.errors import UrlNotAllowed
from safelight.network.urls import parse_url


@pytest.mark.parametrize(
    ("text", "fetched"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.COM:443/A.png", "https://example.com/A.png"),
        ("https://example.com?x=1", "https://example.com/?x=1"),
        ("https://example.com/a%20b/../c?x=%41&y=[1]", "https://example.com/a%20b/../c?x=%41&y=%5B1%5D"),
        ("https://example.com/그림.png", "https://example.com/%EA%B7%B8%EB%A6%BC.png"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://ｅｘａｍｐｌｅ。com/", "https://example.com/"),
        ("https://my_bucket.example.com/x", "https://my_bucket.example.com/x"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("https://[::1]:9000/y", "https://[::1]:9000/y"),
    ],
)
def test_a_url_is_fetched_as_it_was_parsed(text: str, fetched: str) -> None:
    assert str(parse_url(text).url) == fetched


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/x.png",
        "//example.com/x.png",
        "https:/example.com",
        "https:example.com",
        "https:///x.png",
        "https://",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://example.com/",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://@example.com/",
        "https://example.com@127.0.0.1/",
        "https://a\\@b/",
        "https://example.com\\@127.0.0.1/",
        "https:\\\\example.com/",
        "https://example.com/\\evil",
        "https://example.com/\r\nHost: evil",
        "https://example.com/\tx",
        "https://exam\tple.com/",
        "https://example.com/\x00",
        "https://example.com/\x7f",
        " https://example.com/",
        "https://example.com/ ",
        "https://example.com/a b",
        "https://example.com/\ud800",
        "https://example.com/#x",
        "https://example.com#@evil.example/",
        "https://example.com:/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:４４３/",
        "https://example.com:443:443/",
        "https://example.com:-1/",
        "https://example.com./",
        "https://.example.com/",
        "https://exa..mple.com/",
        "https://-example.com/",
        "https://exa%6dple.com/",
        "https://exam＠ple.com/",
        "https://example.com＃x/",
        "https://example℀com/",
        "https://xn--\xe9.com/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://example.com/" + "a" * 9000,
        "https://[::1",
        "https://::1/",
        "https://[127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1]x/",
    ],
)
def test_what_parsers_disagree_about_is_refused(text: str) -> None:
    with pytest.raises(UrlNotAllowed):
        parse_url(text)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x",
        "0X7F000001",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "127.0.0.0x1",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.1.1.1",
        "example.1",
        "１２７.1",
        "２１３０７０６４３３",
        "0ｘ7f000001",
    ],
)
def test_a_number_is_no_host(host: str) -> None:
    with pytest.raises(UrlNotAllowed):
        parse_url(f"https://{host}/")


def test_full_width_digits_are_read_as_the_address_they_become() -> None:
    assert parse_url("https://１２７。０.０.１/").host == "127.0.0.1"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://other.example/y", "https://other.example/y"),
        ("//other.example/y", "https://other.example/y"),
        ("/y?z=2", "https://example.com/y?z=2"),
        ("y", "https://example.com/a/y"),
        ("../y", "https://example.com/y"),
        ("../../../y", "https://example.com/y"),
        ("?z=2", "https://example.com/a/b?z=2"),
        ("..//evil.example/y", "https://example.com/evil.example/y"),
    ],
)
def test_a_redirect_is_read_relative_to_where_it_came_from(location: str, target: str) -> None:
    assert str(parse_url(parse_url("https://example.com/a/b?x=1").join(location)).url) == target


def test_a_message_says_what_would_work_and_repeats_nothing() -> None:
    with pytest.raises(UrlNotAllowed) as raised:
        parse_url("https://user:secret@internal.example/")
    assert "https://example.com/image.png" in raised.value.message
    assert "secret" not in raised.value.message
    assert "internal" not in raised.value.message


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("https://example.com/#x", "leave out the part from #"),
        ("https://example.com/a b", "percent-encode"),
        ("https://example.com/" + "a" * 9000, "8192 characters"),
        ("https://example.com:99999/", "1 to 65535"),
        ("https://127.1/", "number"),
    ],
)
def test_a_refusal_names_its_reason(text: str, advice: str) -> None:
    with pytest.raises(UrlNotAllowed, match=advice):
        parse_url(text)


@settings(deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{1,30}(/.{0,20})?", fullmatch=True))
def test_any_text_is_parsed_or_refused_and_parsing_is_stable(text: str) -> None:
    try:
        target = parse_url(text)
    except UrlNotAllowed:
        return
    assert parse_url(str(target.url)) == target
    assert target.url.raw_host == target.host
    assert target.url.port == target.port
