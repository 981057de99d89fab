"""Words of the error pages, by HTTP status."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "400_title": Text("That request makes no sense here", "처리할 수 없는 요청입니다"),
    "400_text": Text(
        "Something in the address or the form was not understood. Go back and try once more.",
        "주소나 입력한 내용을 이해하지 못했습니다. 돌아가서 다시 시도해 주세요.",
    ),
    "403_title": Text("Not from here", "허용되지 않은 요청입니다"),
    "403_text": Text(
        "Your account may not do this, or the request did not come from a page of this server.",
        "이 계정으로는 할 수 없는 일이거나, 이 서버의 페이지에서 보낸 요청이 아닙니다.",
    ),
    "404_title": Text("There is nothing here", "페이지를 찾을 수 없습니다"),
    "404_text": Text(
        "The address may be mistyped, or what was here is gone.",
        "주소가 잘못되었거나 더 이상 없는 페이지입니다.",
    ),
    "405_title": Text("Not this way", "허용되지 않은 방식입니다"),
    "405_text": Text(
        "This address does not answer to that kind of request.",
        "이 주소는 그런 방식의 요청을 받지 않습니다.",
    ),
    "410_title": Text("This picture has expired", "보관 기간이 지난 이미지입니다"),
    "410_text": Text(
        "Outputs are deleted when their time is over. Recall the request in the playground to draw it again.",
        "결과 이미지는 보관 기간이 지나면 삭제됩니다. 플레이그라운드에서 그 요청을 불러와 다시 생성하세요.",
    ),
    "500_title": Text("Something broke on this server", "서버에 문제가 생겼습니다"),
    "500_text": Text(
        "It is not your doing. The server’s log has the details.",
        "사용자의 잘못이 아닙니다. 자세한 내용은 서버 로그에 남아 있습니다.",
    ),
    "503_title": Text("Back in a moment", "잠시 후 다시 시도해 주세요"),
    "503_text": Text(
        "The server is starting, stopping, or waiting for its database. Try again in a few seconds.",
        "서버가 시작 또는 종료 중이거나 데이터베이스를 기다리고 있습니다. 몇 초 뒤에 다시 시도해 주세요.",
    ),
    "status": Text("Error {status}", "오류 {status}"),
    "home": Text("To the models", "모델 목록으로"),
    "again": Text("Try again", "다시 시도"),
}
