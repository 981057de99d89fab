"""Which language an answer is in."""

import pytest

from safelight.texts import Language, choose_language


@pytest.mark.parametrize(
    ("query", "header", "language"),
    [
        (None, None, Language.EN),
        ("ko", None, Language.KO),
        ("ko-KR", "en", Language.KO),
        ("xx", "ko", Language.KO),
        (None, "ko-KR,ko;q=0.9,en;q=0.8", Language.KO),
        (None, "en;q=0.5,ko;q=0.9", Language.KO),
        (None, "fr,de;q=0.9", Language.EN),
        (None, "ko;q=high,en", Language.EN),
        (None, "," * 10_000, Language.EN),
    ],
)
def test_the_query_comes_first_then_the_header_then_english(
    query: str | None, header: str | None, language: Language
) -> None:
    assert choose_language(query, header) is language
