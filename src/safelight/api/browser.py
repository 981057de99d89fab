"""What a browser carries instead of a key: the cookie of its session, and on a change the page's origin."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from safelight.errors import Forbidden
from safelight.texts import Text

SESSION = "safelight_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def cookies_of(headers: dict[bytes, bytes]) -> dict[str, str]:
    """The cookies of a request; none when they are malformed."""
    try:
        jar = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


_FROM_ELSEWHERE = Text(
    "A change that a browser asks for must come from a page of this server.",
    "브라우저에서 하는 변경은 이 서버의 페이지에서 시작해야 합니다.",
)


def check_origin(headers: dict[bytes, bytes], public_url: str) -> None:
    """Refuse what another site's page has sent in this browser's name. Raises Forbidden.

    The scheme is left out of the comparison: a proxy in front may have taken TLS off.
    """
    origin = urlsplit(headers.get(b"origin", b"").decode("latin-1"))
    host = headers.get(b"host", b"").decode("latin-1")
    if not origin.netloc or origin.netloc not in {host, urlsplit(public_url).netloc}:
        raise Forbidden(_FROM_ELSEWHERE)


def session_cookie(token: str, lifetime_s: int, *, is_secure: bool) -> str:
    """The header that keeps a session in the browser; with a lifetime of 0, that ends it."""
    flags = "; Secure" if is_secure else ""
    return f"{SESSION}={token}; Path=/; Max-Age={lifetime_s}; HttpOnly; SameSite=Strict{flags}"
