"""How amounts and times are written for people, and the small pieces of markup that texts refer to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from markupsafe import Markup

from safelight.api.wire import timestamp


def usd(amount: Decimal | float) -> str:
    """An amount of money, as exact as it is: $0.0025, $1.50, −$3.00."""
    text = f"{abs(amount):,.6f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"{'−' if amount < 0 else ''}${whole}.{cents:0<2}"


def moment(when: datetime) -> Markup:
    """A point in time, in UTC; the page's script puts it into the visitor's own time."""
    shown = f"{when:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}" translate="no">{}</time>').format(timestamp(when), shown)


def by_parts(model_id: str) -> Markup:
    """A model's id that breaks after its slashes alone."""
    parts = [Markup('<span class="part">{}</span>').format(part) for part in model_id.split("/")]
    return Markup('<span class="id" translate="no">{}</span>').format(Markup("/<wbr>").join(parts))


def code(text: str) -> Markup:
    """A name that stays as it is."""
    return Markup('<code translate="no">{}</code>').format(text)


def codes(texts: Iterable[str]) -> Markup:
    """Several of them."""
    return Markup(", ").join(map(code, texts))


def anchor(address: str, text: str) -> Markup:
    """A link."""
    return Markup('<a href="{}">{}</a>').format(address, text)


def kept(text: str) -> Markup:
    """A person's or a thing's own name, the same in every language."""
    return Markup('<span translate="no">{}</span>').format(text)


HTML = {"kept": kept, "code": code, "codes": codes, "anchor": anchor}
"""What a template may call."""

MARKDOWN = {
    "kept": str,
    "code": "`{}`".format,
    "codes": lambda texts: ", ".join(map("`{}`".format, texts)),
    "anchor": lambda address, text: f"[{text}]({address})",
}
"""The same where the page is Markdown."""
