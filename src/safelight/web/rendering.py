"""From a template to an answer: the templates' environment, the words, and the headers of every page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from safelight import __version__
from safelight.texts import Language
from safelight.web import texts
from safelight.web.formats import HTML, MARKDOWN, by_parts, moment, usd
from safelight.web.highlight import highlighted
from safelight.web.static_files import has_static, picture_name, static_url
from safelight.web.visit import LANGUAGE, THEMES, Visit

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
PAGE_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # Not no-referrer: browsers then send `Origin: null` with forms, ours and a stranger's alike.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
YEAR_S = 365 * 24 * 3600


def render(visit: Visit, template: str, status_code: int = 200, **context: Any) -> Response:
    """Render a page for its visitor."""
    page = environment().get_template(template).render(**_surroundings(visit), **context)
    response = HTMLResponse(page, status_code, PAGE_HEADERS)
    if visit.asked_language:
        keep(response, LANGUAGE, visit.asked_language)
    return response


def render_text(visit: Visit, template: str, **context: Any) -> str:
    """Render something that is no HTML: its texts are not escaped."""
    return environment().get_template(template).render(**_surroundings(visit, is_html=False), **context)


def keep(response: Response, name: str, value: str) -> None:
    """Remember a preference in the visitor's browser."""
    response.set_cookie(name, value, YEAR_S, samesite="lax", httponly=True)


@cache
def environment() -> Environment:
    """Jinja2 over the package's templates. What becomes HTML is escaped, and a misspelt name is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["highlighted"] = highlighted
    made.globals |= {
        "static": static_url,
        "has_static": has_static,
        "picture_name": picture_name,
        "version": __version__,
    }
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # the order of fields is meant
    made.filters["usd"] = usd
    made.filters["moment"] = moment
    made.filters["by_parts"] = by_parts
    return made


def plain_words(language: Language, key: str, **values: Any) -> str:
    """A text of the pages where nothing is HTML."""
    return texts.ALL[key].within(language).format(**values)


def _surroundings(visit: Visit, *, is_html: bool = True) -> dict[str, Any]:
    """What every template may use."""

    def t(key: str, **values: Any) -> str:
        return (words if is_html else plain_words)(visit.language, key, **values)

    def category_name(name: str) -> str:
        """An operator's own model may be in a category that nobody has translated."""
        key = f"catalogue.{name}"
        return t(key) if key in texts.ALL else name

    return {
        "t": t,
        **(HTML if is_html else MARKDOWN),
        "category_name": category_name,
        "visit": visit,
        "account": visit.account,
        "is_operator": visit.is_operator,
        "language": visit.language.value,
        "languages": Language,
        "themes": THEMES,
    }


def words(language: Language, key: str, **values: Any) -> Markup:
    """A text of the pages, escaped, with values in its places: escaped too unless they are markup."""
    text = Markup.escape(texts.ALL[key].within(language))
    return text.format(**values) if values else text
