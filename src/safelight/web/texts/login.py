"""Words of the login."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Log in", "로그인"),
    "lead": Text("With one of your API keys.", "API 키로 로그인합니다."),
    "key": Text("API key", "API 키"),
    "submit": Text("Log in", "로그인"),
    "where": Text(
        "On the machine that runs Safelight the first key is in the file {file} of its data folder. "
        "{command} also prints a link there that logs you in once.",
        "Safelight가 실행되는 컴퓨터에서는 데이터 폴더의 {file} 파일에 첫 번째 키가 있습니다. "
        "{command}를 실행하면 한 번만 쓸 수 있는 로그인 링크도 출력됩니다.",
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
