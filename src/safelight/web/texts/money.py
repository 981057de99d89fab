"""Words for credits: balance, usage and the ledger."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "credits": Text("Credits", "크레딧"),
    "balance": Text("Balance", "잔액"),
    "held": Text("Held for requests under way", "진행 중인 요청에 예약됨"),
    "requests": Text("Requests in 30 days", "최근 30일 요청"),
    "spent": Text("Used in 30 days", "최근 30일 사용액"),
    "unmetered": Text("Unmetered", "무제한"),
    "unmetered_about": Text(
        "This account is the server’s own: what it uses is recorded and never charged.",
        "이 서버 소유자의 계정입니다. 사용량은 기록되지만 요금은 청구되지 않습니다.",
    ),
    "empty": Text(
        "There are no credits left. Ask the operator of this server for more; requests that cost something "
        "are refused until then.",
        "남은 크레딧이 없습니다. 이 서버의 운영자에게 요청하세요. 그때까지 비용이 드는 요청은 거부됩니다.",
    ),
    "usage": Text("Usage", "사용량"),
    "usage_about": Text(
        "Requests on each of the last 30 days (UTC).", "최근 30일간 일별 요청 수입니다(UTC 기준)."
    ),
    "chart": Text(
        "{requests} requests from {first} to {last}, at most {highest} a day",
        "{first}부터 {last}까지 요청 {requests}건, 하루 최대 {highest}건",
    ),
    "no_usage": Text("Nothing was sent in the last 30 days.", "최근 30일간 보낸 요청이 없습니다."),
    "day": Text("Day", "날짜"),
    "model": Text("Model", "모델"),
    "key": Text("Key", "키"),
    "browser": Text("Browser", "브라우저"),
    "sent": Text("Requests", "요청"),
    "completed": Text("Completed", "완료"),
    "cost": Text("Cost", "비용"),
    "ledger": Text("Ledger", "거래 내역"),
    "ledger_about": Text(
        "Everything that has happened to the balance. Failed and cancelled requests cost nothing.",
        "잔액의 모든 변동 내역입니다. 실패하거나 취소된 요청에는 요금이 들지 않습니다.",
    ),
    "no_entries": Text("Nothing has happened yet.", "아직 내역이 없습니다."),
    "when": Text("When", "시각"),
    "what": Text("What", "내용"),
    "request": Text("Request", "요청"),
    "note": Text("Note", "메모"),
    "amount": Text("Amount", "금액"),
    "kind_grant": Text("Credits granted", "크레딧 지급"),
    "kind_withdrawal": Text("Credits taken back", "크레딧 회수"),
    "kind_hold": Text("Held for a request", "요청 비용 예약"),
    "kind_release": Text("Released", "예약 해제"),
    "kind_charge": Text("Charged", "청구"),
    "kind_waiver": Text("Waived", "면제"),
    "older": Text("Older entries", "이전 내역"),
    "newest": Text("Newest entries", "최신 내역"),
    "grant": Text("Give credits", "크레딧 지급"),
    "grant_about": Text(
        "In US dollars; a negative amount takes back what is free.",
        "미국 달러 기준이며, 음수를 입력하면 사용 가능한 잔액에서 회수합니다.",
    ),
    "grant_amount": Text("Amount", "금액"),
    "grant_submit": Text("Give", "지급"),
}
