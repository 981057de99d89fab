"""Words of the API documentation."""

from __future__ import annotations

from safelight.texts import Text

TEXTS = {
    "title": Text("API documentation", "API 문서"),
    "contents": Text("Table of contents", "목차"),
    "as_markdown": Text("As Markdown", "Markdown으로 보기"),
    "get_started": Text("Get started", "시작하기"),
    "get_started_text": Text(
        "Use Safelight’s API to run {model}. For accepted inputs and outputs, see the model’s {schema}.",
        "Safelight API로 {model} 모델을 실행하세요. 입력과 출력 형식은 이 모델의 {schema}를 참고하세요.",
    ),
    "schema_link": Text("schema", "스키마"),
    "authentication": Text("Authentication", "인증"),
    "authentication_text": Text(
        "Set the {token} environment variable with your API key (manage keys in your {profile}) and include "
        "it on every request as a Bearer token via the {header} header: {example}.",
        "API 키를 {token} 환경 변수에 저장하고({profile}에서 키를 관리할 수 있습니다), 모든 요청의 {header} "
        "헤더에 Bearer 토큰으로 넣으세요: {example}",
    ),
    "profile_link": Text("Profile", "프로필"),
    "reference": Text("API reference", "API 레퍼런스"),
    "reference_text": Text(
        "In the snippets of one request, {request} is the {field} that its submission answered with.",
        "아래 코드에서 {request}는 요청을 제출했을 때 받은 {field} 값입니다.",
    ),
    "submit": Text("Submit a request", "요청 제출"),
    "submit_text": Text(
        "Submit an asynchronous generation job and immediately receive a {field} plus URLs to check status, "
        "fetch results, and cancel.",
        "비동기 생성 작업을 제출하면 {field}와 함께 상태 확인, 결과 조회, 취소에 쓸 URL을 바로 받습니다.",
    ),
    "monitor": Text("Monitor request status", "요청 상태 확인"),
    "monitor_text": Text(
        "Fetch the current state for a {field} ({states}, or {last}).",
        "{field}의 현재 상태를 조회합니다. 상태는 {states}, {last} 중 하나입니다.",
    ),
    "retrieve": Text("Retrieve request results", "결과 조회"),
    "retrieve_text": Text(
        "Retrieve the final outputs and metadata for the given {field}; if the job is not complete, the "
        "response returns the current state so you can continue polling.",
        "{field}의 최종 출력과 메타데이터를 조회합니다. 작업이 아직 끝나지 않았다면 현재 상태가 응답으로 "
        "오므로 계속 폴링하면 됩니다.",
    ),
    "cancel": Text("Cancel a request", "요청 취소"),
    "cancel_text": Text(
        "Cancel a queued job by {field}, in-progress jobs cannot be cancelled.",
        "대기 중인 작업을 {field}로 취소합니다. 이미 진행 중인 작업은 취소할 수 없습니다.",
    ),
    "files": Text("File inputs", "파일 입력"),
    "hosted": Text("Hosted file (URL)", "호스팅된 파일(URL)"),
    "hosted_text": Text(
        "Provide a publicly reachable HTTPS URL. Ensure the host allows server‑side fetches (no "
        "login/cookies required) and isn’t rate‑limited or blocking bots. Recommended limits: images ≤ 50 "
        "MB (~4K), videos ≤ 100 MB (~2–5 min @ 720p). Prefer stable or pre‑signed URLs for private assets.",
        "누구나 접근할 수 있는 HTTPS URL을 입력하세요. 호스트가 서버 측 다운로드를 허용해야 하며(로그인이나 "
        "쿠키가 필요하지 않아야 합니다), 요청 수를 제한하거나 봇을 차단하지 않아야 합니다. 권장 크기: "
        "이미지 50MB 이하(약 4K), 동영상 100MB 이하(720p 기준 약 2~5분). 비공개 파일에는 바뀌지 않는 "
        "URL이나 사전 서명된(pre-signed) URL을 사용하는 것이 좋습니다.",
    ),
    "inline": Text("Within the request (data URI)", "요청에 직접 포함(data URI)"),
    "inline_text": Text(
        "Every image field also takes a data URI: {example}. PNG, JPEG and WebP are accepted.",
        "모든 이미지 필드는 data URI도 받습니다: {example}. PNG, JPEG, WebP 형식을 사용할 수 있습니다.",
    ),
    "own": Text("Files of this server", "이 서버의 파일"),
    "own_text": Text(
        "The URL of an earlier result, or of an example such as {example}, is read from this server’s own "
        "storage.",
        "이전 결과의 URL이나 {example} 같은 예제 URL은 네트워크를 거치지 않고 이 서버의 저장소에서 바로 "
        "읽습니다.",
    ),
    "schema": Text("Schema", "스키마"),
    "input_schema": Text("Input schema", "입력 스키마"),
    "output_schema": Text("Output schema", "출력 스키마"),
    "output_text": Text(
        "A result carries one {image}, or several {images}.",
        "결과에는 이미지 한 장이면 {image}, 여러 장이면 {images}가 들어 있습니다.",
    ),
    "field": Text("Field", "필드"),
    "type": Text("Type", "타입"),
    "about": Text("Description", "설명"),
    "required": Text("required", "필수"),
    "default": Text("Default: {value}", "기본값: {value}"),
    "one_of": Text("One of:", "가능한 값:"),
    "range": Text("From {least} to {most}", "범위 {least}~{most}"),
    "at_least": Text("At least {least}", "{least} 이상"),
    "at_most": Text("At most {most}", "{most} 이하"),
    "entries": Text("{least} to {most} entries", "{least}~{most}개"),
    "longest": Text("At most {most} characters", "최대 {most}자"),
    "as_json": Text("The schema as JSON", "JSON 스키마"),
    "language": Text("Language of the snippet", "코드 언어"),
    "image_text": Text("The URL of the image", "이미지 URL"),
    "images_text": Text("The URLs, when there are several images", "이미지가 여러 장일 때의 URL 목록"),
    "not_ready": Text(
        "This model cannot run on this server yet: its weights are not installed.",
        "이 모델의 가중치가 설치되어 있지 않아 이 서버에서 아직 실행할 수 없습니다.",
    ),
}
