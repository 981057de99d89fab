"""What work costs, in US dollars (1 credit = 1 dollar): exact decimals, to a millionth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

MILLIONTH = Decimal("0.000001")
PIXELS_IN_MEGAPIXEL = 10**6

Size = tuple[int, int]


class Unit(StrEnum):
    """What a price is for."""

    OUTPUT = "output"
    MEGAPIXEL = "megapixel"
    """A million pixels of output; parts count as parts."""
    SECOND = "second"
    """A second of drawing, loading and encoding left out."""


@dataclass(frozen=True)
class Price:
    """A model's price. most_seconds: of a price by the second, how many a request is charged at most."""

    usd: Decimal = Decimal(0)
    unit: Unit = Unit.OUTPUT
    most_seconds: int = 0


@dataclass(frozen=True)
class Rate:
    """How the outcome of a request decides its cost: its units at `usd` each, and `extra`."""

    usd: Decimal
    unit: Unit
    extra: Decimal

    def cost(self, sizes: Sequence[Size], seconds: float) -> Decimal:
        """What outputs of these sizes cost that took so long to draw."""
        return to_millionths(self.usd * _units(self.unit, sizes, seconds) + self.extra)


@dataclass(frozen=True)
class Quote:
    """What a request costs. rate: where the outcome decides, how; `cost` is the most then."""

    cost: Decimal
    rate: Rate | None = None


def quote(price: Price, extra: Decimal, largest: Sequence[Size], *, is_certain: bool) -> Quote:
    """Compute a quote. largest: the outputs, at their largest. is_certain: they are exactly these."""
    rate = Rate(price.usd, price.unit, extra)
    decided = price.usd == 0 or (is_certain and price.unit is not Unit.SECOND)
    return Quote(rate.cost(largest, price.most_seconds), None if decided else rate)


def _units(unit: Unit, sizes: Sequence[Size], seconds: float) -> Decimal:
    if unit is Unit.OUTPUT:
        return Decimal(len(sizes))
    if unit is Unit.SECOND:
        return Decimal(str(seconds))
    return Decimal(sum(width * height for width, height in sizes)) / PIXELS_IN_MEGAPIXEL


def to_millionths(amount: Decimal) -> Decimal:
    """Round to what is stored."""
    return amount.quantize(MILLIONTH, ROUND_HALF_UP)
