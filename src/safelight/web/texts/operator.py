"""Words of the operator's pages."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Operator", "운영"),
    "lead": Text("What this server is doing.", "이 서버의 현재 상태입니다."),
    "pages": Text("Operator’s pages", "운영 페이지"),
    "overview": Text("Overview", "개요"),
    "accounts": Text("Accounts", "계정"),
    "refresh": Text("Refresh", "새로 고침"),
    "as_of": Text("As of {time}", "{time} 기준"),
    "workers": Text("Workers", "워커"),
    "worker": Text("Worker", "워커"),
    "device": Text("Device", "장치"),
    "resident": Text("Models in memory", "메모리에 있는 모델"),
    "nothing_resident": Text("None yet", "아직 없음"),
    "doing": Text("Doing", "작업"),
    "idle": Text("Waiting for work", "대기 중"),
    "busy_one": Text("1 request", "요청 1개"),
    "busy_many": Text("{count} requests", "요청 {count}개"),
    "seen": Text("Last word", "마지막 신호"),
    "silent": Text("Silent", "응답 없음"),
    "no_workers": Text(
        "No worker is there. Requests wait until one is.",
        "워커가 없습니다. 워커가 시작될 때까지 요청은 대기합니다.",
    ),
    "start_worker": Text(
        "{serve} starts workers by itself; {worker} starts one more.",
        "{serve}는 워커를 함께 시작하고, {worker}는 워커를 하나 더 시작합니다.",
    ),
    "running": Text("Running", "진행 중"),
    "queued": Text("Queued", "대기열"),
    "failed": Text("Recent failures", "최근 실패"),
    "request": Text("Request", "요청"),
    "model": Text("Model", "모델"),
    "account": Text("Account", "계정"),
    "attempt": Text("Attempt", "시도"),
    "progress": Text("Progress", "진행"),
    "started": Text("Since", "시작"),
    "starting": Text("Preparing", "준비 중"),
    "step": Text("Step {step} of {steps}", "{steps}단계 중 {step}단계"),
    "waiting": Text("Requests", "요청 수"),
    "oldest": Text("Oldest", "가장 오래된 요청"),
    "nothing_running": Text("Nothing is running.", "진행 중인 요청이 없습니다."),
    "nothing_queued": Text("The queue is empty.", "대기열이 비어 있습니다."),
    "nothing_failed": Text("Nothing has failed.", "실패한 요청이 없습니다."),
    "new_account": Text("New account", "새 계정"),
    "create_account": Text("Create account", "계정 만들기"),
    "email": Text("E-mail", "이메일"),
    "id": Text("Id", "아이디"),
    "kind": Text("Kind", "종류"),
    "metered": Text("Metered", "과금"),
    "unmetered": Text("Unmetered", "비과금"),
    "unmetered_about": Text(
        "what it uses is recorded and never charged", "사용량은 기록하되 요금을 청구하지 않습니다"
    ),
    "when": Text("When", "시각"),
    "why": Text("Why", "이유"),
}
