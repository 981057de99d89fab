"""Code in colours: Pygments marks what a word is, the stylesheet says how that looks."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup


@lru_cache(maxsize=512)
def highlighted(code: str, language: str) -> Markup:
    """The code as markup, escaped."""
    # Imported late: who asks for no documentation does not wait for it.
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return Markup(highlight(code, lexer, HtmlFormatter(nowrap=True)))  # noqa: S704 - Pygments escapes
