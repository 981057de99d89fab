"""Words of the playground's stage: the mask under the brush, the way of a request, and what came out."""

from __future__ import annotations

from safelight.texts import Text

STAGE = {
    "stage": Text("Picture", "이미지 영역"),
    "view_picture": Text("Picture", "원본"),
    "view_mask": Text("Mask", "마스크"),
    "view_result": Text("Result", "결과"),
    "nothing_picture": Text("Bring a picture", "이미지를 가져오세요"),
    "nothing_yet": Text("Your picture will be here", "여기에 이미지가 나타납니다"),
    "nothing_yet_hint": Text("Describe it, then press Run.", "원하는 이미지를 설명하고 실행을 누르세요."),
    "start_from_example": Text("Start from the example", "예시로 시작하기"),
}

MASK = {
    "easel": Text("Mask, to be painted", "마스크 그리기"),
    "easel_keys": Text(
        "Arrow keys move the brush, with Shift by one pixel. Hold Space to paint. B is the brush, E the "
        "eraser, square brackets change the size, I inverts, Delete clears, Control Z undoes, "
        "Control Shift Z redoes.",
        "화살표 키로 브러시를 움직이고 Shift를 함께 누르면 1픽셀씩 움직입니다. 스페이스 바를 누르고 있으면 "
        "칠해집니다. B는 브러시, E는 지우개, 대괄호는 크기 조절, I는 반전, Delete는 모두 지우기, Ctrl+Z는 "
        "실행 취소, Ctrl+Shift+Z는 다시 실행입니다.",
    ),
    "mask_hint": Text(
        "What you paint is drawn anew; the rest stays.", "칠한 부분만 다시 그리고 나머지는 그대로 둡니다."
    ),
    "mask_tools": Text("Mask tools", "마스크 도구"),
    "brush": Text("Brush", "브러시"),
    "eraser": Text("Eraser", "지우개"),
    "brush_size": Text("Brush size", "브러시 크기"),
    "pixels": Text("{count} pixels", "{count}픽셀"),
    "undo": Text("Undo", "실행 취소"),
    "redo": Text("Redo", "다시 실행"),
    "invert": Text("Invert", "반전"),
    "clear": Text("Clear", "모두 지우기"),
    "load_mask": Text("Load a mask", "마스크 불러오기"),
    "zoom_in": Text("Zoom in", "확대"),
    "zoom_out": Text("Zoom out", "축소"),
    "fit": Text("Fit", "화면에 맞추기"),
}

WAY = {
    "progress": Text("Progress", "진행률"),
    "preview": Text("What it looks like so far", "지금까지의 모습"),
    "in_queue": Text("In the queue", "대기 중"),
    "next_in_queue": Text("Next in the queue", "곧 시작합니다"),
    "ahead_in_queue": Text("{count} ahead of it in the queue", "앞에 {count}개 대기 중"),
    "preparing": Text("Getting ready", "준비 중"),
    "step_of": Text("Step {step} of {steps}", "{steps}단계 중 {step}단계"),
    "cancel": Text("Cancel", "취소"),
    "cancelling": Text("Cancelling …", "취소하는 중…"),
    "may_leave": Text(
        "You may leave this page: the request goes on and stays in your history.",
        "이 페이지를 떠나도 요청은 계속 진행되고 기록에 남습니다.",
    ),
    "offline_waiting": Text(
        "The server does not answer at the moment. The request is safe; asking again …",
        "지금은 서버가 응답하지 않습니다. 요청은 안전하며, 다시 연결하는 중입니다…",
    ),
    "failed": Text("This did not work", "실패했습니다"),
    "not_charged": Text("not charged", "청구되지 않음"),
    "cancelled": Text("Cancelled", "취소되었습니다"),
    "cancelled_hint": Text("Nothing was charged.", "비용은 청구되지 않았습니다."),
    "gone": Text("This request is not known", "알 수 없는 요청입니다"),
    "gone_hint": Text(
        "It was made by another account, or so long ago that it was deleted.",
        "다른 계정의 요청이거나 오래되어 삭제된 요청입니다.",
    ),
    "expired": Text("This picture has expired", "이미지 보관 기간이 지났습니다"),
    "expired_hint": Text(
        "The server deletes pictures after a while. The settings are still here: run them again.",
        "서버는 일정 기간이 지난 이미지를 삭제합니다. 설정은 남아 있으니 다시 실행할 수 있습니다.",
    ),
    "said_in_queue": Text("In the queue.", "대기 중입니다."),
    "said_in_progress": Text("Being drawn.", "그리는 중입니다."),
    "said_succeeded": Text("The picture is ready.", "이미지가 완성되었습니다."),
    "said_failed": Text("The request failed.", "요청이 실패했습니다."),
    "said_cancelled": Text("The request was cancelled.", "요청이 취소되었습니다."),
    "said_gone": Text("This request is not known.", "알 수 없는 요청입니다."),
}

OUTCOME = {
    "before": Text("Before", "전"),
    "after": Text("After", "후"),
    "compare": Text("Compare before and after", "전후 비교"),
    "compare_at": Text("{percent} % before", "원본 {percent}%"),
    "results": Text("Results", "결과 목록"),
    "download": Text("Download", "다운로드"),
    "use_as_input": Text("Use as input", "입력으로 사용"),
    "use_in": Text("Use in {model}", "{model}에서 사용"),
    "recall": Text("Recall settings", "설정 불러오기"),
    "show_code": Text("As code", "코드"),
    "seed": Text("Seed", "시드"),
    "keep_seed": Text("Keep", "유지"),
    "time": Text("Time", "시간"),
    "seconds": Text("{number} s", "{number}초"),
    "timing_fetch": Text("fetch", "가져오기"),
    "timing_decode": Text("decode", "디코딩"),
    "timing_load": Text("load", "불러오기"),
    "timing_generate": Text("draw", "그리기"),
    "timing_encode": Text("encode", "인코딩"),
    "timing_store": Text("store", "저장"),
    "timing_upstream": Text("vendor", "제공사"),
    "weights": Text("Weights", "가중치"),
    "weights_nano": Text("nano", "나노"),
    "weights_real": Text("real", "정식"),
    "weights_local": Text("local stand-in", "로컬 대체 모델"),
    "weights_upstream": Text("the vendor's", "제공사 모델"),
    "cost": Text("Cost", "비용"),
    "lora": Text("LoRA {number}", "LoRA {number}"),
    "lora_matched": Text("{matched} of {total} layers", "레이어 {total}개 중 {matched}개"),
    "expanded_prompt": Text("Magic prompt", "매직 프롬프트"),
    "keep_prompt": Text("Use", "사용"),
    "history": Text("Your requests", "내 요청"),
    "older": Text("Older", "이전"),
    "phase_in_queue": Text("In the queue", "대기 중"),
    "phase_in_progress": Text("Running", "진행 중"),
    "phase_succeeded": Text("Done", "완료"),
    "phase_failed": Text("Failed", "실패"),
    "phase_cancelled": Text("Cancelled", "취소됨"),
    "phase_gone": Text("Not known", "알 수 없음"),
}
