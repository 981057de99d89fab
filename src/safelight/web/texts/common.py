"""Words of every page: the frame around it."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "tagline": Text("Image models on your own machine", "내 컴퓨터에서 돌아가는 이미지 모델"),
    "skip": Text("Skip to content", "본문으로 건너뛰기"),
    "menu": Text("Menu", "메뉴"),
    "navigation": Text("Main", "주 메뉴"),
    "models": Text("Models", "모델"),
    "model_pages": Text("This model", "이 모델의 페이지"),
    "profile": Text("Profile", "프로필"),
    "operator": Text("Operator", "운영"),
    "log_in": Text("Log in", "로그인"),
    "log_out": Text("Log out", "로그아웃"),
    "language": Text("Language", "언어"),
    "theme": Text("Colours", "화면 색상"),
    "theme_light": Text("Light", "밝게"),
    "theme_dark": Text("Dark", "어둡게"),
    "copy": Text("Copy", "복사"),
    "copied": Text("Copied", "복사됨"),
    "ready": Text("Ready", "사용 가능"),
    "not_ready": Text("Not installed", "설치되지 않음"),
    "weights_nano": Text("nano weights", "나노 가중치"),
    "weights_real": Text("real weights", "정식 가중치"),
    "weights_other": Text("drawn by {name}", "{name}에서 생성"),
    "free": Text("Free here", "무료"),
    "price_output": Text("{amount} per output", "출력당 {amount}"),
    "price_megapixel": Text("{amount} per megapixel", "메가픽셀당 {amount}"),
    "price_second": Text("{amount} per second", "초당 {amount}"),
}
