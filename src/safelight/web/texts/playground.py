"""Words of the playground: all of them reach its script, by these names."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Playground", "플레이그라운드"),
    "documentation": Text("API documentation", "API 문서"),
    "needs_script": Text(
        "The playground needs JavaScript. The API documentation works without it.",
        "플레이그라운드를 사용하려면 JavaScript가 필요합니다. API 문서는 JavaScript 없이도 볼 수 있습니다.",
    ),
    "log_in_to_run": Text("Log in to run this model.", "이 모델을 실행하려면 로그인하세요."),
}
