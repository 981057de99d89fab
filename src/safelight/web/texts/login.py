"""Words of the login."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Log in", "로그인"),
    "email": Text("E-mail address", "이메일 주소"),
    "password": Text("Password", "비밀번호"),
    "submit": Text("Log in", "로그인"),
    "no_password": Text(
        "No password? Log in with a key and set one in your profile. Forgotten? The operator of this server "
        "can reset it.",
        "아직 없다면 키로 로그인한 뒤 프로필에서 설정하세요. 잊었다면 서버 운영자가 재설정해 줄 수 있습니다.",
    ),
    "or": Text("or", "또는"),
    "key": Text("API key", "API 키"),
    "submit_key": Text("Log in with the key", "키로 로그인"),
    "where": Text(
        "On the machine that runs Safelight the first key is in the file {file} of its data folder. "
        "{command} also prints a link there that logs you in once.",
        "Safelight가 실행되는 컴퓨터에서는 데이터 폴더의 {file} 파일에 첫 번째 키가 있습니다. "
        "{command}를 실행하면 한 번만 쓸 수 있는 로그인 링크도 출력됩니다.",
    ),
    "password_refused": Text(
        "The e-mail address or the password is wrong.", "이메일 주소 또는 비밀번호가 올바르지 않습니다."
    ),
    "key_refused": Text(
        "This key is unknown or was revoked. Check that it was copied whole.",
        "알 수 없거나 폐기된 키입니다. 키를 끝까지 복사했는지 확인해 주세요.",
    ),
    "code_refused": Text(
        "This link was used before or is too old. Log in with a key, or restart the server for a new link.",
        "이미 사용했거나 기한이 지난 링크입니다. 키로 로그인하거나 서버를 다시 시작해 새 링크를 받으세요.",
    ),
    "working": Text("Logging you in …", "로그인하는 중 …"),
    "already": Text("You are logged in as {email}.", "{email} 계정으로 로그인되어 있습니다."),
}
