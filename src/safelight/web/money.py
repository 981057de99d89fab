"""What an account has, what it used and what happened to its balance, as pages show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from safelight.api.services import services
from safelight.callers import Account
from safelight.credits.usage import DAYS, UsageLine

ENTRIES_A_PAGE = 20
BAR_WIDTH, CHART_HEIGHT = 20, 120
"""In the chart's own units: it is stretched to the width there is."""
MAX_SEQ = 10**18


@dataclass(frozen=True)
class Bar:
    """One day of the chart. left, top, height: in the chart's own units."""

    day: date
    requests: int
    usd: Decimal
    left: int
    top: float
    height: float


@dataclass(frozen=True)
class Chart:
    """Requests a day. highest: what the chart's full height stands for."""

    bars: tuple[Bar, ...]
    highest: int
    requests: int
    usd: Decimal
    width: int = DAYS * BAR_WIDTH
    height: int = CHART_HEIGHT
    bar_width: int = BAR_WIDTH


async def money_context(request: Request, account: Account) -> dict[str, Any]:
    """What `money.html` shows of an account."""
    known = services(request)
    before = request.query_params.get("before", "")
    cursor = int(before) if before.isascii() and before.isdigit() and len(before) < 18 else MAX_SEQ
    entries = await known.ledger.entries(account.id, ENTRIES_A_PAGE + 1, cursor)
    lines = await known.usage.of(account.id)
    return {
        "balance": await known.ledger.balance(account.id),
        "usage": lines,
        "chart": chart(lines, datetime.now(UTC).date()),
        "entries": entries[:ENTRIES_A_PAGE],
        "older": entries[ENTRIES_A_PAGE - 1].seq if len(entries) > ENTRIES_A_PAGE else None,
        "is_first_page": cursor == MAX_SEQ,
    }


def chart(lines: Iterable[UsageLine], today: date) -> Chart:
    """A bar for each of the last days, also for those without a request."""
    requests: dict[str, int] = defaultdict(int)
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        requests[line.day] += line.requests
        spent[line.day] += line.usd
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    highest = _round_up(max(requests.values(), default=0))
    bars = []
    for number, day in enumerate(days):
        count = requests[day.isoformat()]
        height = round(count / highest * CHART_HEIGHT, 1)
        left, top = number * BAR_WIDTH, CHART_HEIGHT - height
        bars.append(Bar(day, count, spent[day.isoformat()], left, top, height))
    return Chart(tuple(bars), highest, sum(requests.values()), sum(spent.values(), Decimal(0)))


def _round_up(number: int) -> int:
    """The next number that reads well on an axis: 1, 2, 5, 10, 20, 50 …"""
    size = 1
    while True:
        for step in (1, 2, 5):
            if number <= step * size:
                return step * size
        size *= 10
