"""The only door to the network: what may be fetched, and how much of it.

Every hop is judged twice: its URL when it is parsed, and the addresses of its name when they are looked up.
The connection then goes to a checked address, while TLS verifies the name. Why a fetch failed is not told:
refused, reset, bad TLS and a bad status look the same, so that nobody can scan ports with this server.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult

from safelight.errors import (
    FetchFailed,
    FetchTimeout,
    FileTooLarge,
    SettingsError,
    TooManyRedirects,
    UrlNotAllowed,
)
from safelight.files.files import create_private, disk_errors, write_all
from safelight.network.addresses import is_metadata, is_public, parse_address
from safelight.network.urls import Target, parse_url
from safelight.texts import Text

MAX_REDIRECTS = 3
MAX_FETCHES = 16
MAX_ETAG_CHARACTERS = 256
CONNECT_S = 5.0
ANSWER_S = 20.0
"""From asking to the end of the answer's headers, connecting included."""
WINDOW_S = 5.0
WINDOW_BYTES = 50_000
"""The minimum rate: so many bytes in every window, unless the file ends in it."""

REDIRECTS = {301, 302, 303, 307, 308}
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "safelight"}

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolve a name: (host, port) to its addresses. Raises OSError when there are none."""


@dataclass(frozen=True)
class Wanted:
    """Where a file goes and how large it may be.

    etag: of the version that is here already. inspect: sees every piece as it comes, and raises to hang up.
    """

    into: Path
    limit_bytes: int
    etag: str = ""
    inspect: Callable[[bytes], None] | None = None


@dataclass(frozen=True)
class Fetched:
    """What came. unchanged: nothing did, the version that is here still stands."""

    size_bytes: int
    etag: str = ""
    unchanged: bool = False


log = structlog.get_logger(__name__)
_lookups = ThreadPoolExecutor(MAX_FETCHES, "lookup")  # its own: slow name servers must not hold up the files


async def system_lookup(host: str, port: int) -> list[str]:
    """Ask the operating system for a name's addresses."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_lookups, socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Fetcher:
    """Talks to public hosts over https on port 443, and to what an operator allows."""

    def __init__(self, allow: Sequence[str] = (), lookup: Lookup = system_lookup) -> None:
        """allow: `host:port` pairs that may be private and speak http. Raises SettingsError."""
        self._allow = frozenset(_endpoint(pair) for pair in allow)
        self._resolver = _CheckedResolver(self._allow, lookup)
        self._slots = asyncio.Semaphore(MAX_FETCHES)
        if self._allow:
            log.warning("private_hosts_may_be_fetched", endpoints=sorted(allow))

    def check(self, url: str) -> None:
        """Judge a URL's form and any literal address in it, without the network. Raises UrlNotAllowed."""
        self._judge(url)

    async def fetch(self, url: str, into: Path, limit_bytes: int, total_timeout_s: float = 30) -> int:
        """Fetch a file and return its size in bytes; nothing stays at `into` unless all of it came.

        Raises UrlNotAllowed, FetchFailed, FetchTimeout, TooManyRedirects, FileTooLarge, StorageFull.
        """
        return (await self.download(url, Wanted(into, limit_bytes), total_timeout_s)).size_bytes

    async def download(self, url: str, wanted: Wanted, total_timeout_s: float = 30) -> Fetched:
        """Fetch a file as `fetch` does, with its bytes looked at while they come, or only if it changed."""
        target = self._judge(url)
        async with self._slots:
            with _told_alike():
                async with asyncio.timeout(total_timeout_s):
                    return await self._follow(target, wanted)

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], total_timeout_s: float = 10
    ) -> int:
        """Send a body and return the status of the answer, of which nothing else is read or followed.

        Raises UrlNotAllowed, FetchFailed, FetchTimeout.
        """
        target = self._judge(url)
        with _told_alike():
            async with asyncio.timeout(total_timeout_s), self._session() as session:
                sent = session.post(target.url, data=body, headers=headers, allow_redirects=False)
                async with sent as response:
                    return response.status

    def _judge(self, url: str) -> Target:
        target = parse_url(url)
        address = parse_address(target.host)
        if address and is_metadata(address):
            raise UrlNotAllowed
        if (target.host, target.port) in self._allow:
            return target
        if target.scheme != "https" or target.port != 443:
            raise UrlNotAllowed(_ONLY_HTTPS)
        if address or "." not in target.host or target.host.endswith(".localhost"):
            raise UrlNotAllowed(_ONLY_PUBLIC)
        return target

    async def _follow(self, target: Target, wanted: Wanted) -> Fetched:
        condition = {"If-None-Match": wanted.etag} if wanted.etag else {}
        async with self._session() as session:
            for _ in range(1 + MAX_REDIRECTS):
                async with asyncio.timeout(ANSWER_S):
                    response = await session.get(target.url, headers=condition, allow_redirects=False)
                async with response:
                    if wanted.etag and response.status == 304:
                        return Fetched(0, wanted.etag, unchanged=True)
                    if response.status not in REDIRECTS:
                        size_bytes = await _save(response, wanted)
                        return Fetched(size_bytes, response.headers.get("ETag", "")[:MAX_ETAG_CHARACTERS])
                    target = self._redirected(target, response.headers.get("Location", ""))
        raise TooManyRedirects

    def _redirected(self, source: Target, location: str) -> Target:
        if not location:
            raise FetchFailed
        target = self._judge(source.join(location))
        if source.scheme == "https" and target.scheme != "https":
            raise UrlNotAllowed
        return target

    def _session(self) -> aiohttp.ClientSession:
        """A session for one fetch: no cookies, no proxy, no netrc, no kept connections, no decompression."""
        connector = aiohttp.TCPConnector(
            resolver=self._resolver, use_dns_cache=False, force_close=True, ssl=self._tls
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
            auto_decompress=False,
            trust_env=False,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


@contextmanager
def _told_alike() -> Iterator[None]:
    """Raise FetchTimeout, or FetchFailed for whatever else goes wrong on the way."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:  # a closed port may just as well stay silent
        raise FetchFailed from None
    except TimeoutError:
        raise FetchTimeout from None
    except (aiohttp.ClientError, OSError):  # not chained: their words hold the URL
        raise FetchFailed from None


class _CheckedResolver(AbstractResolver):
    """Hands the connector checked addresses only, so what was judged is what is connected to."""

    def __init__(self, allow: frozenset[tuple[str, int]], lookup: Lookup) -> None:
        self._allow = allow
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve once. One forbidden address condemns the name: it may be the one connected to."""
        addresses = [ip_address(text) for text in await self._lookup(host, port)]
        private_is_fine = (host, port) in self._allow
        for address in addresses:
            if is_metadata(address) or not (private_is_fine or is_public(address)):
                raise UrlNotAllowed
        if not addresses:
            raise OSError("the name has no addresses")
        return [_result(host, port, str(address), address.version) for address in addresses]

    async def close(self) -> None:
        """Nothing is kept open."""


def _result(host: str, port: int, address: str, version: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET if version == 4 else socket.AF_INET6,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


def _endpoint(pair: str) -> tuple[str, int]:
    host, _, port = pair.rpartition(":")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    try:
        target = parse_url(f"http://{host}:{port}")
    except UrlNotAllowed:
        wanted = "must be host:port, such as nas.local:8080"
        raise SettingsError(f"SAFELIGHT_FETCH_ALLOW: {pair!r} {wanted}") from None
    return target.host, target.port


async def _save(response: aiohttp.ClientResponse, wanted: Wanted) -> int:
    encoding = response.headers.get("Content-Encoding", "identity")
    if response.status != 200 or encoding.lower() != "identity":
        raise FetchFailed
    if (response.content_length or 0) > wanted.limit_bytes:
        raise _too_large(wanted.limit_bytes)
    with _whole_or_gone(wanted.into):
        with disk_errors():
            file = await asyncio.to_thread(create_private, wanted.into)
        with file:
            return await _copy(response.content, file, wanted)


@contextmanager
def _whole_or_gone(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _copy(content: aiohttp.StreamReader, file: FileIO, wanted: Wanted) -> int:
    size_bytes = 0
    async for chunk in _paced(content):
        size_bytes += len(chunk)
        if size_bytes > wanted.limit_bytes:
            raise _too_large(wanted.limit_bytes)
        if wanted.inspect:
            wanted.inspect(chunk)
        with disk_errors():
            await asyncio.to_thread(write_all, file, chunk)
    return size_bytes


async def _paced(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield what arrives. Raises TimeoutError when a window passes without its bytes."""
    clock = asyncio.get_running_loop().time
    window_ends, received = clock() + WINDOW_S, 0
    while True:
        async with asyncio.timeout_at(window_ends):
            chunk = await content.readany()
        if not chunk:
            return
        yield chunk
        received += len(chunk)
        if received >= WINDOW_BYTES:
            window_ends, received = clock() + WINDOW_S, 0


def _too_large(limit_bytes: int) -> FileTooLarge:
    most = limit_bytes // 1_000_000
    return FileTooLarge(Text(f"The file is larger than {most} MB.", f"파일이 {most}MB보다 큽니다."))


_ONLY_HTTPS = Text(
    "This URL may not be fetched: only https:// on port 443 is.",
    "이 URL은 가져올 수 없습니다. 443번 포트의 https:// 주소만 가능합니다.",
)
_ONLY_PUBLIC = Text(
    "This URL may not be fetched: its host must be a public name.",
    "이 URL은 가져올 수 없습니다. 호스트가 공개된 이름이어야 합니다.",
)
