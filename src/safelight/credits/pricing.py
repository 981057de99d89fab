"""The operator's prices: a TOML or JSON file, or the same text in the setting itself.

default.usd = 0.01                                          # every model: 1 cent an output

[models."tongyi-mai/z-image/turbo/controlnet/lora"]
usd = 0.012
per = "megapixel"                                           # or "output", or "second" with most_seconds
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from safelight.errors import SettingsError
from safelight.prices import Price, Unit, to_millionths

MAX_USD = 10**6


@dataclass(frozen=True)
class Pricing:
    """Prices by model id. default: that of models without one; None: what the model itself says."""

    default: Price | None = None
    models: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model_id: str, own: Price) -> Price:
        """A model's price. own: what the model itself says."""
        return self.models.get(model_id, self.default or own)

    def check(self, known_ids: Iterable[str]) -> None:
        """Refuse prices of models that are not there: a typing error would give pictures away."""
        unknown = sorted(set(self.models) - set(known_ids))
        if unknown:
            raise SettingsError(f"SAFELIGHT_PRICING: there is no model {unknown[0]!r}; see GET /v1/models")


def read_pricing(given: object) -> Pricing:
    """Read the setting: a path, text, or what a configuration file has as a table. Raises ValueError."""
    table = _table(given) if isinstance(given, str) else given
    if not isinstance(table, dict):
        raise ValueError(  # noqa: TRY004 - pydantic shows it as a wrong setting
            'must be a table, such as default.usd = 0.01, or {"default": {"usd": 0.01}}'
        )
    _only(table, {"default", "models"}, "")
    models = table.get("models", {})
    if not isinstance(models, dict):
        raise ValueError("models must be a table with a model's id for each price")  # noqa: TRY004
    default = _price("default", table["default"]) if "default" in table else None
    return Pricing(default, {name: _price(f"models.{name}", entry) for name, entry in models.items()})


def _table(text: str) -> Any:
    if not text.strip():
        return {}
    source = text
    if "=" not in text and not text.lstrip().startswith("{"):
        try:
            source = Path(text).expanduser().read_text()
        except OSError as error:
            raise ValueError(f"{text} cannot be read ({error.strerror}); name a TOML or JSON file") from None
    try:
        if source.lstrip().startswith("{"):
            return json.loads(source, parse_float=Decimal)
        return tomllib.loads(source, parse_float=Decimal)
    except ValueError as error:
        raise ValueError(f"is neither TOML nor JSON: {error}") from None


def _price(name: str, entry: object) -> Price:
    if not isinstance(entry, dict) or "usd" not in entry:
        raise ValueError(f"{name} must be a table with usd, such as usd = 0.01")
    _only(entry, {"usd", "per", "most_seconds"}, f"{name}.")
    per, most = entry.get("per", Unit.OUTPUT.value), entry.get("most_seconds")
    if per not in list(Unit):
        raise ValueError(f"{name}.per must be one of {', '.join(Unit)}")
    unit = Unit(per)
    if (most is not None) != (unit is Unit.SECOND):
        raise ValueError(f"{name}.most_seconds goes with per = 'second': what a request is charged at most")
    if most is not None and (type(most) is not int or not 1 <= most <= 86_400):
        raise ValueError(f"{name}.most_seconds must be an integer from 1 to 86400")
    return Price(_usd(f"{name}.usd", entry["usd"]), unit, most or 0)


def _usd(name: str, value: object) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name} must be a number of US dollars") from None
    if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount <= MAX_USD:
        raise ValueError(f"{name} must be from 0 to {MAX_USD} US dollars")
    if amount != to_millionths(amount):
        raise ValueError(f"{name} must have at most 6 decimals")
    return amount


def _only(table: Mapping[str, object], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"{where}{unknown[0]} is not known; known are {', '.join(sorted(known))}")
