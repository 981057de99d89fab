"""How often a password may be tried in vain: for one name, and from one network.

Whatever is typed as a name is counted alike, whether an account goes by it or not, so that a refusal tells
nothing. A try counts from its beginning: a hundred at once are no way around the limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from safelight.accounts.rates import Recent
from safelight.errors import RateLimited, Unauthorized
from safelight.texts import Text

SPAN_S = 15 * 60
OF_A_NAME = 10
OF_A_NETWORK = 50
"""Many people may share an address; nobody needs to share a name."""

MAX_NAME_CHARACTERS = 254


class Guesses:
    """The tries in vain of the last SPAN_S seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent = Recent(SPAN_S)

    @contextmanager
    def counted(self, name: str, address: str) -> Iterator[None]:
        """Count what is done inside as a guess when it ends with Unauthorized. Raises RateLimited instead."""
        limits = {
            f"name {name[:MAX_NAME_CHARACTERS]}": OF_A_NAME,
            f"from {network_of(address)}": OF_A_NETWORK,
        }
        now = self._clock()
        wait_s = max(self._recent.wait_s(counted, most, now) for counted, most in limits.items())
        if wait_s:
            raise _too_many(wait_s)
        for counted in limits:
            self._recent.add(counted, now)
        was_wrong = False
        try:
            yield
        except Unauthorized:
            was_wrong = True
            raise
        finally:
            for counted in () if was_wrong else limits:
                self._recent.take_back(counted, now)


def network_of(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 of an IPv6 one, which is one customer's."""
    try:
        known = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped or ip_network((int(known), 64), strict=False))


def _too_many(wait_s: float) -> RateLimited:
    minutes = ceil(wait_s / 60)
    return RateLimited(
        Text(
            "Too many wrong passwords for this e-mail address, or from your network. "
            f"Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}.",
            "이 이메일 주소 또는 같은 네트워크에서 비밀번호가 여러 번 잘못 입력되었습니다. "
            f"{minutes}분 뒤에 다시 시도해 주세요.",
        ),
        retry_after_s=ceil(wait_s),
    )
