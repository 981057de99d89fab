"""Words of the playground's form, and what it says of a value that does not fit."""

from __future__ import annotations

from safelight.texts import Text

FORM = {
    "input": Text("Input", "입력"),
    "required": Text("required", "필수"),
    "seed_drawn": Text("A new one each time", "매번 새로 뽑기"),
    "seed_roll": Text("Roll a seed", "시드 뽑기"),
    "seed_clear": Text("A new seed each time", "매번 새 시드 사용"),
    "add_item": Text("Add", "추가"),
    "remove": Text("Remove", "제거"),
    "remove_item": Text("Remove number {number}", "{number}번 제거"),
    "choose_file": Text("Choose a file", "파일 선택"),
    "other_picture": Text("Choose another", "다른 파일 선택"),
    "by_address": Text("By address", "주소로 추가"),
    "take_address": Text("Take this address", "이 주소 사용"),
    "drop_or_paste": Text(
        "You can also drop or paste a picture anywhere.", "이미지를 화면에 끌어다 놓거나 붙여 넣어도 됩니다."
    ),
    "picture": Text("Picture", "이미지"),
    "picture_elsewhere": Text(
        "On another site; the server fetches it.", "다른 사이트의 이미지입니다. 서버가 가져옵니다."
    ),
    "remove_picture": Text("Remove this picture", "이 이미지 제거"),
    "move_up": Text("Move number {number} up", "{number}번을 위로"),
    "move_down": Text("Move number {number} down", "{number}번을 아래로"),
    "mask_painted": Text("Painted", "마스크 있음"),
    "mask_to_paint": Text("Paint on the picture what shall change.", "이미지에서 바꿀 부분을 칠하세요."),
    "mask_needs_picture": Text("First choose a picture.", "먼저 이미지를 선택하세요."),
    "as_code": Text("This request as code", "이 요청을 코드로 보기"),
    "code_waits": Text("The picture and the mask are on their way …", "이미지와 마스크를 올리는 중…"),
    "code_language": Text("Language of the code", "코드 언어"),
    "copy": Text("Copy", "복사"),
    "copied": Text("Copied", "복사됨"),
    "run": Text("Run", "실행"),
    "sending": Text("Sending …", "보내는 중…"),
    "price": Text("Price", "가격"),
    "price_at_most": Text("Price, at most", "최대 가격"),
    "free": Text("Free", "무료"),
    "not_charged_here": Text("not charged on your own machine", "내 컴퓨터에서는 청구되지 않음"),
    "not_enough": Text("Your balance of {balance} does not cover this.", "잔액({balance})이 부족합니다."),
    "to_profile": Text("See your credits", "크레딧 보기"),
    "not_ready": Text(
        "The weights of this model are not installed on this server.",
        "이 서버에는 이 모델의 가중치가 설치되어 있지 않습니다.",
    ),
    "log_in_to_run": Text("Log in to run this model", "로그인하고 실행하기"),
    "offline": Text(
        "The server cannot be reached. Nothing is lost: try again when it is back.",
        "서버에 연결할 수 없습니다. 입력한 내용은 그대로 있으니 잠시 후 다시 시도하세요.",
    ),
    "went_wrong": Text("Something went wrong on the server.", "서버에서 문제가 발생했습니다."),
    "must_not_be_empty": Text("Write something here.", "내용을 입력하세요."),
    "at_most_characters": Text(
        "At most {most} characters; these are {count}.", "최대 {most}자까지 가능합니다. 현재 {count}자"
    ),
    "must_be_a_number": Text("Enter a number.", "숫자를 입력하세요."),
    "must_be_whole": Text("Enter a whole number.", "정수를 입력하세요."),
    "must_be_at_least": Text("Must be at least {low}.", "{low} 이상이어야 합니다."),
    "must_be_between": Text("Must be between {low} and {high}.", "{low}에서 {high} 사이여야 합니다."),
    "choose_a_picture": Text("Choose a picture.", "이미지를 선택하세요."),
    "paint_or_load_a_mask": Text(
        "Paint a mask on the picture, or load one.", "이미지에 마스크를 칠하거나 불러오세요."
    ),
    "at_least_items": Text("At least {least} needed.", "최소 {least}개가 필요합니다."),
    "at_most_items": Text("At most {most} possible.", "최대 {most}개까지 가능합니다."),
    "file_too_large": Text("The file must be at most {most} MB.", "파일은 최대 {most}MB까지 가능합니다."),
    "too_many_pixels": Text(
        "At most {side} pixels per side and {most} megapixels.",
        "한 변은 최대 {side}픽셀, 전체는 최대 {most}메가픽셀까지 가능합니다.",
    ),
    "no_picture": Text("The browser cannot read this as a picture.", "이미지로 읽을 수 없는 파일입니다."),
    "picture_gone": Text("This picture is not there any more.", "이 이미지는 더 이상 없습니다."),
    "choice_square_hd": Text("Square, large", "정사각형(대)"),
    "choice_square": Text("Square", "정사각형"),
    "choice_portrait_4_3": Text("Portrait 3:4", "세로 3:4"),
    "choice_portrait_16_9": Text("Portrait 9:16", "세로 9:16"),
    "choice_landscape_4_3": Text("Landscape 4:3", "가로 4:3"),
    "choice_landscape_16_9": Text("Landscape 16:9", "가로 16:9"),
    "choice_auto": Text("As the picture", "원본 비율"),
    "choice_none": Text("None", "없음"),
    "choice_canny": Text("Edges", "윤곽선"),
    "choice_depth": Text("Depth", "깊이"),
    "choice_pose": Text("Pose", "포즈"),
}
