"""The one URL parser: what it understood is what is fetched.

It reads a strict subset of RFC 3986. Whatever parsers are known to disagree about (user information,
backslashes, control characters, fragments, numbers as hosts) is refused rather than interpreted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import NoReturn
from urllib.parse import quote, urljoin

import idna
from yarl import URL

from safelight.errors import UrlNotAllowed
from safelight.network.addresses import parse_address
from safelight.texts import Text

MAX_URL_CHARACTERS = 8192
DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]/?#:@]+)(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(\?(?P<query>[^#]*))?",
    re.IGNORECASE | re.ASCII,
)
_NAME = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
)
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)")
_ANY_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE | re.ASCII)
_AS_WRITTEN = "/?:@!$&'()*+,;=-._~%"


@dataclass(frozen=True)
class Target:
    """One parsed URL. host: a lower-case ASCII name, or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def url(self) -> URL:
        """The same parts for the HTTP client, which must not encode or interpret them again."""
        return URL.build(
            scheme=self.scheme,
            host=self._written_host,
            port=self.port,
            path=self.path,
            query_string=self.query,
            encoded=True,
        )

    def join(self, location: str) -> str:
        """Where a redirect from here leads: `location` is absolute or relative to this URL."""
        if _ANY_SCHEME.match(location):
            return location
        if location.startswith("//"):
            return f"{self.scheme}:{location}"
        return urljoin(str(self.url), location)

    @property
    def _written_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_url(text: str) -> Target:
    """Parse an http or https URL. Raises UrlNotAllowed, saying what in its form would work."""
    if len(text) > MAX_URL_CHARACTERS:
        _refuse(
            f"it may have at most {MAX_URL_CHARACTERS} characters",
            f"최대 {MAX_URL_CHARACTERS}자까지 가능합니다",
        )
    if re.search(r"[\x00-\x20\x7f\\\ud800-\udfff]", text):
        _refuse(
            "it holds a space, a backslash or a control character; percent-encode it",
            "공백, 백슬래시 또는 제어 문자가 있습니다. 퍼센트 인코딩해 주세요",
        )
    if "#" in text:
        _refuse("leave out the part from # on", "# 뒤의 부분을 빼 주세요")
    parts = _URL.fullmatch(text)
    if not parts:
        _refuse(
            "it must look like https://example.com/image.png, without user name or password",
            "사용자 이름과 비밀번호 없이 https://example.com/image.png와 같은 형식이어야 합니다",
        )
    scheme = parts["scheme"].lower()
    port = int(parts["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        _refuse("its port must be 1 to 65535", "포트는 1에서 65535 사이여야 합니다")
    path, query = (quote(part or "", safe=_AS_WRITTEN) for part in (parts["path"], parts["query"]))
    return Target(scheme, parse_host(parts["host"]), port, path or "/", query)


def parse_host(text: str) -> str:
    """Normalise a host: IDNA to ASCII, lower case, IPv6 without brackets. Raises UrlNotAllowed.

    IPv4 addresses only as four plain decimal numbers: resolvers read `127.1`, `0x7f000001` and `017700000001`
    as addresses too.
    """
    if text.startswith("["):
        address = parse_address(text)
        if not isinstance(address, IPv6Address):
            _refuse("its host is no valid IPv6 address", "호스트가 올바른 IPv6 주소가 아닙니다")
        return str(address)
    try:
        host = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError:
        _refuse("its host is no valid name", "호스트가 올바른 이름이 아닙니다")
    if not _NAME.fullmatch(host):
        _refuse("its host is no valid name", "호스트가 올바른 이름이 아닙니다")
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and parse_address(host) is None:
        _refuse("its host is a number", "호스트가 숫자입니다")
    return host


def _refuse(en: str, ko: str) -> NoReturn:
    raise UrlNotAllowed(Text(f"This URL may not be fetched: {en}.", f"이 URL은 가져올 수 없습니다. {ko}."))
