"""Words of the playground: all of them reach its script, by these names."""

from __future__ import annotations

from safelight.texts import Text
from safelight.web.texts.playground_form import FORM
from safelight.web.texts.playground_stage import MASK, OUTCOME, STAGE, WAY

PAGE = {
    "title": Text("Playground", "플레이그라운드"),
    "documentation": Text("API documentation", "API 문서"),
    "needs_script": Text(
        "The playground needs JavaScript. The API documentation works without it.",
        "플레이그라운드를 사용하려면 JavaScript가 필요합니다. API 문서는 JavaScript 없이도 볼 수 있습니다.",
    ),
}

TEXTS = PAGE | FORM | STAGE | MASK | WAY | OUTCOME
