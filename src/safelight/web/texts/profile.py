"""Words of the profile."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Profile", "프로필"),
    "keys": Text("API keys", "API 키"),
    "keys_lead": Text(
        "Programs identify themselves with a key. Keep keys secret; give every program its own, so that one "
        "can be revoked alone.",
        "프로그램은 키로 자신을 증명합니다. 키는 비밀로 간직하고, 하나만 따로 폐기할 수 있도록 프로그램마다 "
        "다른 키를 쓰세요.",
    ),
    "key_name": Text("Name", "이름"),
    "key_prefix": Text("Key", "키"),
    "key_scopes": Text("May", "권한"),
    "key_made": Text("Made", "생성일"),
    "key_expires": Text("Expires", "만료일"),
    "key_actions": Text("Action", "작업"),
    "never": Text("Never", "없음"),
    "scope_submit": Text("Submit", "제출"),
    "scope_submit_about": Text("send requests and files, cancel requests", "요청과 파일 전송, 요청 취소"),
    "scope_read": Text("Read", "조회"),
    "scope_read_about": Text("see requests, results, balance and usage", "요청, 결과, 잔액, 사용량 조회"),
    "scope_admin": Text("Manage", "관리"),
    "scope_admin_about": Text("make and revoke keys", "키 생성과 폐기"),
    "new_key": Text("New key", "새 키"),
    "create": Text("Create key", "키 만들기"),
    "name_hint": Text("What will use it, such as “website”", "사용할 곳. 예: “웹사이트”"),
    "lifetime": Text("Valid", "유효 기간"),
    "lifetime_days": Text("{days} days", "{days}일"),
    "lifetime_always": Text("Until revoked", "폐기할 때까지"),
    "made_title": Text("Your new key “{name}”", "새 키 “{name}”"),
    "made_text": Text(
        "Copy it now: it is shown this once, and only its fingerprint is stored.",
        "지금 복사해 두세요. 이번 한 번만 표시되며, 서버에는 해시값만 저장됩니다.",
    ),
    "made_done": Text("I have copied it", "복사했습니다"),
    "revoke": Text("Revoke", "폐기"),
    "revoke_title": Text("Revoke “{name}”?", "“{name}” 키를 폐기할까요?"),
    "revoke_text": Text(
        "Programs that use it are refused at once. This cannot be undone.",
        "이 키를 쓰는 프로그램은 바로 거부되며, 되돌릴 수 없습니다.",
    ),
    "keep": Text("Keep it", "유지"),
    "over_one": Text("1 revoked or expired key", "폐기되었거나 만료된 키 1개"),
    "over_many": Text("{count} revoked or expired keys", "폐기되었거나 만료된 키 {count}개"),
    "revoked": Text("Revoked", "폐기됨"),
    "expired": Text("Expired", "만료됨"),
    "no_keys": Text(
        "No key is valid any more. Make one to call the API.",
        "유효한 키가 없습니다. API를 호출하려면 키를 만드세요.",
    ),
    "may_not": Text(
        "You logged in with a key that may not manage keys. Log in with one that may.",
        "키를 관리할 권한이 없는 키로 로그인했습니다. 관리 권한이 있는 키로 로그인하세요.",
    ),
}
