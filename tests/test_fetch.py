"""The door to the network, tried against real servers on loopback that an operator allowed."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from safelight.errors import (
    FetchFailed,
    FetchTimeout,
    FileTooLarge,
    SafelightError,
    SettingsError,
    StorageFull,
    TooManyRedirects,
    UrlNotAllowed,
)
from safelight.network import fetch
from safelight.network.fetch import Fetcher
from tests.sites import Site, answer, redirect

LIMIT = 1_000_000
PUBLIC = "93.184.216.34"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
async def other() -> AsyncIterator[Site]:
    other = Site()
    await other.start()
    yield other
    await other.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for images.test and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=images.test", "-addext", "subjectAltName=DNS:images.test"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "certificate.pem").read_bytes())
    return both


@pytest.fixture
async def tls_site(certificate: Path) -> AsyncIterator[Site]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    site = Site()
    await site.start(tls=context)
    yield site
    await site.stop()


def fetcher_for(*sites: Site, host: str = "127.0.0.1", found: str = "127.0.0.1") -> Fetcher:
    """A fetcher whose operator allowed these sites, and whose names all resolve to `found`."""
    return Fetcher([f"{host}:{site.port}" for site in sites], lookup=answering(found))


def answering(*addresses: str) -> fetch.Lookup:
    async def lookup(host: str, port: int) -> tuple[str, ...]:
        return addresses

    return lookup


async def error_of(fetcher: Fetcher, url: str, into: Path, **options: float) -> SafelightError:
    """The error a fetch ends in well before its default 30 s, having left nothing behind."""
    with pytest.raises(SafelightError) as raised:
        async with asyncio.timeout(10):
            await fetcher.fetch(url, into, LIMIT, **options)
    assert not into.exists()
    return raised.value


# --- What comes through --------------------------------------------------------------------------------


async def test_a_file_arrives_whole_and_private(site: Site, tmp_path: Path) -> None:
    body = bytes(range(256)) * 3000
    site.answers["/x.png?size=1"] = answer(body)
    size = await fetcher_for(site).fetch(site.url("/x.png?size=1"), tmp_path / "x", LIMIT)
    assert size == len(body)
    assert (tmp_path / "x").read_bytes() == body
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


async def test_a_file_replaces_what_was_there(site: Site, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"left behind by a crash, and longer")
    site.answers["/x"] = answer(b"new")
    await fetcher_for(site).fetch(site.url("/x"), tmp_path / "x", LIMIT)
    assert (tmp_path / "x").read_bytes() == b"new"


async def test_a_chunked_body_and_one_that_ends_with_the_connection_arrive(
    site: Site, tmp_path: Path
) -> None:
    site.answers["/chunked"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    site.answers["/to-the-end"] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"
    for path in site.answers:
        assert await fetcher_for(site).fetch(site.url(path), tmp_path / "x", LIMIT) == 3


async def test_a_file_of_exactly_the_limit_is_not_too_large(site: Site, tmp_path: Path) -> None:
    site.answers["/x"] = answer(b"x" * LIMIT)
    assert await fetcher_for(site).fetch(site.url("/x"), tmp_path / "x", LIMIT) == LIMIT


async def test_tls_verifies_the_name_while_the_connection_goes_to_the_checked_address(
    tls_site: Site, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls_site.answers["/x"] = answer(b"abc")
    fetcher = fetcher_for(tls_site, host="images.test")
    assert await fetcher.fetch(tls_site.url("/x", "images.test", "https"), tmp_path / "x", LIMIT) == 3
    wrong = fetcher_for(tls_site, host="other.test")
    error = await error_of(wrong, tls_site.url("/x", "other.test", "https"), tmp_path / "y")
    assert isinstance(error, FetchFailed)


# --- What is asked, and what is kept back --------------------------------------------------------------


async def test_nothing_of_the_environment_is_used(
    site: Site, other: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, other.url())
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    site.answers["/x"] = answer(b"abc")
    await fetcher_for(site).fetch(site.url("/x"), tmp_path / "x", LIMIT)
    assert other.connections == 0
    assert "authorization" not in site.requests[0].lower()


async def test_cookies_are_not_kept_between_hops(site: Site, tmp_path: Path) -> None:
    site.answers["/start"] = redirect("/end", set_cookie="id=1; Path=/")
    site.answers["/end"] = answer(b"abc")
    await fetcher_for(site).fetch(site.url("/start"), tmp_path / "x", LIMIT)
    assert site.paths == ["/start", "/end"]
    assert "cookie" not in site.requests[1].lower()


async def test_a_compressed_body_is_not_asked_for_and_not_taken(site: Site, tmp_path: Path) -> None:
    site.answers["/bomb"] = answer(gzip.compress(b"0" * 10_000_000), content_encoding="gzip")
    assert isinstance(await error_of(fetcher_for(site), site.url("/bomb"), tmp_path / "x"), FetchFailed)
    assert "accept-encoding: identity" in site.requests[0].lower()


# --- Redirects -----------------------------------------------------------------------------------------


async def test_three_redirects_are_followed(site: Site, tmp_path: Path) -> None:
    for hop in range(3):
        site.answers[f"/{hop}"] = redirect(f"/{hop + 1}")
    site.answers["/3"] = answer(b"abc")
    assert await fetcher_for(site).fetch(site.url("/0"), tmp_path / "x", LIMIT) == 3


async def test_a_fourth_redirect_and_a_circle_are_refused(site: Site, tmp_path: Path) -> None:
    for hop in range(4):
        site.answers[f"/{hop}"] = redirect(f"/{hop + 1}")
    site.answers["/4"] = answer(b"abc")
    site.answers["/circle"] = redirect("/circle")
    assert isinstance(await error_of(fetcher_for(site), site.url("/0"), tmp_path / "x"), TooManyRedirects)
    assert isinstance(
        await error_of(fetcher_for(site), site.url("/circle"), tmp_path / "x"), TooManyRedirects
    )
    assert site.connections == 8


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{other}/",
        "//127.0.0.1:{other}/",
        "http://localhost:{other}/",
        "https://127.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "http://example.com/",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "http://user@127.0.0.1:{site}/",
        "https://example.com/#x",
    ],
)
async def test_a_redirect_to_a_forbidden_place_is_refused(
    site: Site, other: Site, tmp_path: Path, location: str
) -> None:
    site.answers["/x"] = redirect(location.format(other=other.port, site=site.port))
    assert isinstance(await error_of(fetcher_for(site), site.url("/x"), tmp_path / "x"), UrlNotAllowed)
    assert other.connections == 0
    assert site.connections == 1


async def test_a_redirect_to_a_name_is_resolved_and_judged_like_the_first(site: Site, tmp_path: Path) -> None:
    site.answers["/x"] = redirect("https://intranet.example.com/")
    fetcher = fetcher_for(site, found="10.0.0.1")
    assert isinstance(await error_of(fetcher, site.url("/x"), tmp_path / "x"), UrlNotAllowed)


async def test_a_name_is_resolved_anew_for_every_hop(site: Site, tmp_path: Path) -> None:
    answers = iter(["127.0.0.1", "169.254.169.254"])

    async def rebinding(host: str, port: int) -> list[str]:
        return [next(answers)]

    site.answers["/x"] = redirect("/y")
    fetcher = Fetcher([f"nas.test:{site.port}"], lookup=rebinding)
    assert isinstance(await error_of(fetcher, site.url("/x", "nas.test"), tmp_path / "x"), UrlNotAllowed)
    assert site.paths == ["/x"]


async def test_a_redirect_never_leads_from_https_to_http(
    tls_site: Site, site: Site, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    site.answers["/x"] = answer(b"abc")
    tls_site.answers["/x"] = redirect(site.url("/x", "images.test"))
    fetcher = fetcher_for(tls_site, site, host="images.test")
    error = await error_of(fetcher, tls_site.url("/x", "images.test", "https"), tmp_path / "x")
    assert isinstance(error, UrlNotAllowed)
    assert (tls_site.connections, site.connections) == (1, 0)


async def test_a_redirect_without_a_place_is_a_failure(site: Site, tmp_path: Path) -> None:
    site.answers["/x"] = answer(status="302 Found")
    assert isinstance(await error_of(fetcher_for(site), site.url("/x"), tmp_path / "x"), FetchFailed)


# --- Names and addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["127.0.0.1"],
        ["::1"],
        ["fe80::1%lo"],
        ["169.254.169.254"],
        ["::ffff:192.168.0.1"],
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC, "::1"],
    ],
)
async def test_a_name_with_a_private_address_is_refused_whole(tmp_path: Path, addresses: list[str]) -> None:
    fetcher = Fetcher(lookup=answering(*addresses))
    assert isinstance(await error_of(fetcher, "https://example.com/x", tmp_path / "x"), UrlNotAllowed)


async def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(
    site: Site, other: Site, tmp_path: Path
) -> None:
    twin = Site()
    await twin.start("127.0.0.2", site.port)
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    site.answers["/x"] = twin.answers["/x"] = answer(b"abc")
    fetcher = Fetcher([f"nas.test:{site.port}"], lookup=rebinding)
    await fetcher.fetch(site.url("/x", "nas.test"), tmp_path / "x", LIMIT)
    await twin.stop()
    assert asked == ["nas.test"]
    assert (site.connections, twin.connections) == (1, 0)
    assert f"host: nas.test:{site.port}" in site.requests[0].lower()


@pytest.mark.parametrize("address", ["169.254.169.254", "168.63.129.16", "fd00:ec2::254", "::ffff:a9fe:a9fe"])
async def test_a_metadata_address_is_refused_whatever_is_allowed(tmp_path: Path, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    fetcher = Fetcher([f"{host}:80", "metadata.test:80"], lookup=answering(address))
    for url in (f"http://{host}/", "http://metadata.test/"):
        assert isinstance(await error_of(fetcher, url, tmp_path / "x"), UrlNotAllowed)


async def test_a_name_without_addresses_is_a_failure(tmp_path: Path) -> None:
    assert isinstance(
        await error_of(Fetcher(lookup=answering()), "https://example.com/", tmp_path / "x"), FetchFailed
    )
    assert isinstance(await error_of(Fetcher(), "https://name.invalid/", tmp_path / "x"), FetchFailed)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x.png",
        "https://example.com:8443/",
        "https://example.com:80/",
        "http://example.com:443/",
        "https://localhost/",
        "https://images.localhost/",
        "https://nas/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://[fec0::1]/",
        "https://169.254.169.254/",
        "https://１２７.0.0.1/",
        "https://2130706433/",
        "https://example.com#@127.0.0.1/",
    ],
)
def test_form_and_literal_addresses_are_judged_without_the_network(url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        Fetcher().check(url)


@pytest.mark.parametrize(
    "url", ["https://example.com/x.png", "https://EXAMPLE.com:443", "https://bücher.example/"]
)
def test_a_public_looking_url_passes_the_first_look(url: str) -> None:
    Fetcher().check(url)


def test_what_is_allowed_is_that_host_on_that_port_alone() -> None:
    fetcher = Fetcher(["127.0.0.1:8080", "nas.local:81", "[::1]:82", "::1:83"])
    for url in ("http://127.0.0.1:8080/", "https://NAS.local:81/", "http://[::1]:82/", "http://[0::1]:83/"):
        fetcher.check(url)
    for url in (
        "http://127.0.0.1:8081/",
        "http://nas.local/",
        "http://localhost:8080/",
        "http://127.0.0.2:8080/",
    ):
        with pytest.raises(UrlNotAllowed):
            fetcher.check(url)


@pytest.mark.parametrize("pair", ["nas", "nas:", ":80", "nas:99999", "nas:x", "http://nas:80", "a@b:80"])
def test_a_pair_that_makes_no_sense_is_refused_at_start(pair: str) -> None:
    with pytest.raises(SettingsError, match="SAFELIGHT_FETCH_ALLOW"):
        Fetcher([pair])


# --- How much, and for how long ------------------------------------------------------------------------


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"0" * 65_536)
        await writer.drain()


async def one_byte_at_a_time(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"0")
        await writer.drain()
        await asyncio.sleep(0.01)


async def steady(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n")
    while True:
        writer.write(b"0" * 10)
        await writer.drain()
        await asyncio.sleep(0.01)


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"a: " + b"b" * 5000 + b"\r\n")
        await writer.drain()


async def test_a_body_is_counted_while_it_streams(site: Site, tmp_path: Path) -> None:
    site.answers["/x"] = endless
    assert isinstance(await error_of(fetcher_for(site), site.url("/x"), tmp_path / "x"), FileTooLarge)


async def test_a_body_that_says_it_is_too_large_is_not_read(site: Site, tmp_path: Path) -> None:
    site.answers["/x"] = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000000\r\n\r\n"
    error = await error_of(fetcher_for(site), site.url("/x"), tmp_path / "x")
    assert isinstance(error, FileTooLarge)
    assert "1 MB" in error.message


async def test_a_body_below_the_minimum_rate_is_given_up(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WINDOW_S", 0.2)
    site.answers["/x"] = one_byte_at_a_time
    assert isinstance(await error_of(fetcher_for(site), site.url("/x"), tmp_path / "x"), FetchTimeout)


async def test_a_body_above_the_minimum_rate_may_take_many_windows(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WINDOW_S", 0.2)
    monkeypatch.setattr(fetch, "WINDOW_BYTES", 5)
    site.answers["/x"] = steady
    loop = asyncio.get_running_loop()
    started = loop.time()
    error = await error_of(fetcher_for(site), site.url("/x"), tmp_path / "x", total_timeout_s=0.6)
    assert isinstance(error, FetchTimeout)
    assert loop.time() - started >= 0.6


async def test_a_server_that_takes_the_question_and_stays_silent_times_out(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ANSWER_S", 0.2)
    site.answers["/x"] = silent
    assert isinstance(await error_of(fetcher_for(site), site.url("/x"), tmp_path / "x"), FetchTimeout)


async def test_no_more_than_a_few_fetches_run_at_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_FETCHES", 2)
    running = most = 0

    async def counted(writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        writer.write(answer(b"abc"))

    site.answers["/x"] = counted
    fetcher = fetcher_for(site)
    await asyncio.gather(*(fetcher.fetch(site.url("/x"), tmp_path / str(n), LIMIT) for n in range(6)))
    assert most == 2


async def test_a_cancelled_fetch_leaves_nothing(site: Site, tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await one_byte_at_a_time(writer)

    site.answers["/x"] = slow
    task = asyncio.create_task(fetcher_for(site).fetch(site.url("/x"), tmp_path / "x", LIMIT))
    await asked.wait()
    await asyncio.sleep(0.1)
    assert (tmp_path / "x").exists()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "x").exists()


async def test_a_full_disk_is_told_and_leaves_nothing(site: Site, tiny_disk: Path) -> None:
    site.answers["/x"] = endless
    with pytest.raises(StorageFull):
        await fetcher_for(site).fetch(site.url("/x"), tiny_disk / "x", 100_000_000)
    assert list(tiny_disk.iterdir()) == []


# --- What an answer does not tell ----------------------------------------------------------------------


async def test_every_failure_looks_the_same(
    site: Site, tls_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed, reset, silent, no TLS, bad TLS, wrong status, cut off, no HTTP: one code and one sentence."""
    monkeypatch.setattr(fetch, "CONNECT_S", 0.3)
    closed = Site()
    await closed.start()
    await closed.stop()
    mute = socket.create_server(("127.0.0.1", 0))
    mute_port = mute.getsockname()[1]

    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    site.answers |= {
        "/reset": reset,
        "/404": answer(b"", "404 Not Found"),
        "/401": answer(b"", "401 Unauthorized", www_authenticate="Basic realm=x"),
        "/500": answer(b"", "500 Internal Server Error"),
        "/204": answer(b"", "204 No Content"),
        "/206": answer(b"abc", "206 Partial Content"),
        "/304": answer(b"", "304 Not Modified"),
        "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "/cut-chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        "/closed": b"",
        "/no-http": b"SSH-2.0-OpenSSH_9.9\r\n",
        "/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "/headers": endless_headers,
    }
    urls = [site.url(path) for path in site.answers]
    urls += [closed.url(), site.url(scheme="https"), tls_site.url(scheme="https"), tls_site.url()]
    urls += [f"https://127.0.0.1:{mute_port}/"]
    fetcher = Fetcher([f"127.0.0.1:{port}" for port in (site.port, tls_site.port, closed.port, mute_port)])
    told = {url: (await error_of(fetcher, url, tmp_path / "x")) for url in urls}
    mute.close()
    assert {(error.code, error.message) for error in told.values()} == {
        ("fetch_failed", "A file could not be fetched.")
    }
