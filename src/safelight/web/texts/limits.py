"""Words of limits: what an account or a key may at most."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Limits", "한도"),
    "about": Text(
        "How much the account may do. What is left empty is unlimited.",
        "이 계정이 사용할 수 있는 최대량입니다. 비워 두면 제한이 없습니다.",
    ),
    "own_about": Text(
        "How much this account may do; the operator of the server sets it.",
        "이 계정이 사용할 수 있는 최대량이며, 서버 운영자가 정합니다.",
    ),
    "requests_per_minute": Text("Requests per minute", "분당 요청 수"),
    "queued_jobs": Text("Requests in the queue", "대기열에 둘 수 있는 요청 수"),
    "running_jobs": Text("Requests at once", "동시에 진행되는 요청 수"),
    "monthly_credits": Text("Credits per month (US dollars)", "월간 크레딧(미국 달러)"),
    "none": Text("No limit", "제한 없음"),
    "save": Text("Save limits", "한도 저장"),
}
