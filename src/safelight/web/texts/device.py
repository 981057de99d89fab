"""Words of the page that approves the login of a device."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Let a device in", "기기 로그인 승인"),
    "lead": Text(
        "A program asks for a key of {email}. It may send requests and see their results.",
        "프로그램이 {email} 계정의 키를 요청합니다. 이 키로 요청을 보내고 결과를 볼 수 있습니다.",
    ),
    "code": Text("Code that the device shows", "기기에 표시된 코드"),
    "check": Text(
        "Approve only if you have just started this login yourself and the codes are the same.",
        "방금 직접 시작한 로그인이고 코드가 일치할 때만 승인하세요.",
    ),
    "approve": Text("Approve", "승인"),
    "deny": Text("Deny", "거부"),
    "approved": Text(
        "Approved. The device has its key; you can close this page.",
        "승인했습니다. 기기가 키를 받으므로 이 페이지를 닫아도 됩니다.",
    ),
    "denied": Text("Denied. The device gets no key.", "거부했습니다. 기기는 키를 받지 못합니다."),
    "unknown": Text(
        "No login waits under this code. It may have expired: start it again on the device.",
        "이 코드로 대기 중인 로그인이 없습니다. 만료되었을 수 있으니 기기에서 다시 시작하세요.",
    ),
    "keys": Text("To the keys", "키 목록으로"),
}
