"""Words of the catalogue."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("Models", "모델"),
    "lead": Text(
        "Try a model in its playground, or call it through the API.",
        "플레이그라운드에서 바로 써 보거나 API로 호출하세요.",
    ),
    "search": Text("Search models", "모델 검색"),
    "search_hint": Text("Name, id or purpose", "이름, ID, 용도"),
    "find": Text("Search", "검색"),
    "all": Text("All", "전체"),
    "category": Text("Category", "분류"),
    "text-to-image": Text("Text to image", "텍스트 → 이미지"),
    "image-to-image": Text("Image to image", "이미지 → 이미지"),
    "playground": Text("Playground", "플레이그라운드"),
    "api": Text("API", "API"),
    "example": Text("Drawn by {name}", "{name} 생성 예"),
    "found_one": Text("1 model", "모델 1개"),
    "found_many": Text("{count} models", "모델 {count}개"),
    "nothing": Text("No model fits “{search}”.", "“{search}”에 맞는 모델이 없습니다."),
    "nothing_here": Text("No model is in this category.", "이 분류에는 모델이 없습니다."),
    "show_all": Text("Show all models", "모든 모델 보기"),
}
