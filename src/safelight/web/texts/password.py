"""Words of the password on the profile."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Password", "비밀번호"),
    "about": Text(
        "Log in to these pages with {email} and a password instead of a key. Programs go on using keys.",
        "키 대신 {email} 주소와 비밀번호로 이 웹 페이지에 로그인할 수 있습니다. 프로그램은 그대로 키를 "
        "사용합니다.",
    ),
    "set_at": Text("Set on {when}", "{when}에 설정됨"),
    "set": Text("Set a password", "비밀번호 설정"),
    "change_or_remove": Text("Change or remove", "변경 또는 삭제"),
    "current": Text("Current password", "현재 비밀번호"),
    "new": Text("New password", "새 비밀번호"),
    "rule": Text(
        "At least {least} characters. A few words in a row are long and easy to remember.",
        "{least}자 이상이면 됩니다. 단어 몇 개를 이어 쓰면 길면서도 외우기 쉽습니다.",
    ),
    "repeated": Text("Repeat the new password", "새 비밀번호 확인"),
    "save": Text("Save password", "비밀번호 저장"),
    "remove": Text("Remove password", "비밀번호 삭제"),
    "current_refused": Text("This is not the current password.", "현재 비밀번호와 일치하지 않습니다."),
    "repeated_refused": Text("The two new passwords differ.", "새 비밀번호가 서로 일치하지 않습니다."),
    "outcome_set": Text(
        "Your password is set. All other sessions of this account were ended.",
        "비밀번호를 설정했습니다. 이 계정은 다른 기기에서 모두 로그아웃되었습니다.",
    ),
    "outcome_removed": Text(
        "Your password is removed. All other sessions of this account were ended.",
        "비밀번호를 삭제했습니다. 이 계정은 다른 기기에서 모두 로그아웃되었습니다.",
    ),
    "may_not": Text(
        "You logged in with a key that may not manage this account, so the password stays as it is.",
        "계정을 관리할 권한이 없는 키로 로그인했으므로 비밀번호를 바꿀 수 없습니다.",
    ),
}
