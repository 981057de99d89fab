"""Every error on one page.

An error has a stable `code` for programs, an HTTP status and a number for the wire, and a message for
people in every language: what was wrong and what would work. The docstring and `ko` are the default message.
The middle of the code raises; only the edges (HTTP handler, worker loop, command line) catch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.texts import Language, Text, as_text


@dataclass(frozen=True)
class FieldProblem:
    """One field of an input that was refused, and why."""

    field: str
    message: Text | str

    def within(self, language: Language) -> str:
        """Why, in one language."""
        return as_text(self.message).within(language)


class SafelightError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    error_code: ClassVar[int] = 500001
    ko: ClassVar[str] = "문제가 발생했습니다."

    def __init__(
        self,
        message: Text | str | None = None,
        *,
        fields: tuple[FieldProblem, ...] = (),
        retry_after_s: int | None = None,
    ) -> None:
        """message: a plain string is in the language of the request already, or an operator's."""
        self.text = as_text(message) if message else Text((type(self).__doc__ or "").strip(), self.ko)
        self.fields = fields
        self.retry_after_s = retry_after_s
        super().__init__(self.text.en)

    @property
    def message(self) -> str:
        """The sentence in English, for logs and operators."""
        return self.text.en


# --- Answers of the API -----------------------------------------------------------------------------


class InvalidJson(SafelightError):
    """The body is not valid JSON."""

    code, http_status, error_code = "invalid_json", 400, 400003
    ko = "본문이 올바른 JSON이 아닙니다."


class InvalidHeader(SafelightError):
    """A header has a value that makes no sense."""

    code, http_status, error_code = "invalid_header", 400, 400005
    ko = "헤더 값이 올바르지 않습니다."


class Unauthorized(SafelightError):
    """Send a valid API key: Authorization: Bearer <key>."""

    code, http_status, error_code = "unauthorized", 401, 400004
    ko = "유효한 API 키를 보내 주세요: Authorization: Bearer <key>."


class InsufficientCredits(SafelightError):
    """The balance does not cover this request."""

    code, http_status, error_code = "insufficient_credits", 402, 400002
    ko = "잔액이 이 요청의 비용보다 적습니다."


class Forbidden(SafelightError):
    """This key may not do that."""

    code, http_status, error_code = "forbidden", 403, 403001
    ko = "이 키로는 할 수 없는 작업입니다."


class ModelNotFound(SafelightError):
    """There is no such model."""

    code, http_status, error_code = "model_not_found", 404, 400001
    ko = "그런 모델이 없습니다."


class NotFound(SafelightError):
    """There is no such thing here."""

    code, http_status, error_code = "not_found", 404, 404001
    ko = "여기에는 그런 것이 없습니다."


class MethodNotAllowed(SafelightError):
    """This address does not answer to that method."""

    code, http_status, error_code = "method_not_allowed", 405, 405001
    ko = "이 주소는 그 메서드를 받지 않습니다."


class IdempotencyInProgress(SafelightError):
    """The first request with this Idempotency-Key is still being answered."""

    code, http_status, error_code = "idempotency_in_progress", 409, 409001
    ko = "이 Idempotency-Key의 첫 요청을 아직 처리하고 있습니다."


class Expired(SafelightError):
    """This file is past its retention, or was deleted."""

    code, http_status, error_code = "expired", 410, 410001
    ko = "이 파일은 보관 기간이 지났거나 삭제되었습니다."


class BodyTooLarge(SafelightError):
    """The body is too large."""

    code, http_status, error_code = "body_too_large", 413, 413001
    ko = "본문이 너무 큽니다."


class UnsupportedMediaType(SafelightError):
    """Send the body as application/json."""

    code, http_status, error_code = "unsupported_media_type", 415, 415001
    ko = "본문을 application/json으로 보내 주세요."


class InvalidInput(SafelightError):
    """The input does not fit the model's schema."""

    code, http_status, error_code = "invalid_input", 422, 422001
    ko = "입력이 모델의 스키마와 맞지 않습니다."


class IdempotencyMismatch(SafelightError):
    """This Idempotency-Key was used with another body."""

    code, http_status, error_code = "idempotency_mismatch", 422, 422002
    ko = "이 Idempotency-Key는 다른 본문에 이미 사용되었습니다."


class UrlNotAllowed(SafelightError):
    """This URL may not be fetched: give a public https:// address or a data URI."""

    code, http_status, error_code = "url_not_allowed", 422, 422003
    ko = "이 URL은 가져올 수 없습니다. 공개된 https:// 주소나 data URI를 사용해 주세요."


class PathNotAllowed(SafelightError):
    """Local files are not available under this path."""

    code, http_status, error_code = "path_not_allowed", 422, 422004
    ko = "이 경로의 로컬 파일은 사용할 수 없습니다."


class RateLimited(SafelightError):
    """Too many requests; try again later."""

    code, http_status, error_code = "rate_limited", 429, 429001
    ko = "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요."


class Unavailable(SafelightError):
    """The service cannot answer right now; try again shortly."""

    code, http_status, error_code = "unavailable", 503, 503001
    ko = "지금은 응답할 수 없습니다. 잠시 후 다시 시도해 주세요."


class StorageFull(SafelightError):
    """The storage of this server is full; nothing was accepted."""

    code, http_status, error_code = "storage_full", 507, 507001
    ko = "이 서버의 저장 공간이 가득 차서 아무것도 접수하지 않았습니다."


# --- Found after acceptance: how a job fails. They appear in the result and cost nothing. --------------


class JobFailure(SafelightError):
    """The job failed."""

    ko = "요청이 실패했습니다."


class FetchFailed(JobFailure):
    """A file could not be fetched."""

    code = "fetch_failed"
    ko = "파일을 가져오지 못했습니다."


class FetchTimeout(JobFailure):
    """A file took too long to fetch."""

    code = "fetch_timeout"
    ko = "파일을 가져오는 데 너무 오래 걸렸습니다."


class TooManyRedirects(JobFailure):
    """A file's address redirects more than 3 times."""

    code = "too_many_redirects"
    ko = "파일 주소의 리디렉션이 3회를 넘습니다."


class FileTooLarge(JobFailure):
    """A file is too large."""

    code = "file_too_large"
    ko = "파일이 너무 큽니다."


class UnsupportedImage(JobFailure):
    """This is not a PNG, JPEG or WebP image."""

    code = "unsupported_image"
    ko = "PNG, JPEG 또는 WebP 이미지가 아닙니다."


class CorruptImage(JobFailure):
    """The image is damaged or cut off."""

    code = "corrupt_image"
    ko = "이미지가 손상되었거나 잘려 있습니다."


class ImageTooLarge(JobFailure):
    """The image has more than 64 megapixels or a side above 16384 pixels."""

    code = "image_too_large"
    ko = "이미지가 64메가픽셀을 넘거나 한 변이 16384픽셀을 넘습니다."


class InvalidImage(JobFailure):
    """The image does not fit what the model asks for."""

    code = "invalid_image"
    ko = "이미지가 모델의 요구 조건에 맞지 않습니다."


class InvalidLora(JobFailure):
    """This file is no LoRA that can be used."""

    code = "invalid_lora"
    ko = "사용할 수 있는 LoRA 파일이 아닙니다."


class LoraIncompatible(JobFailure):
    """The LoRA was made for another model."""

    code = "lora_incompatible"
    ko = "다른 모델용으로 만들어진 LoRA입니다."


class LoraNotFound(JobFailure):
    """The LoRA was not found."""

    code = "lora_not_found"
    ko = "LoRA를 찾을 수 없습니다."


class OutOfMemory(JobFailure):
    """The device ran out of memory; ask for a smaller image."""

    code = "out_of_memory"
    ko = "장치의 메모리가 부족합니다. 더 작은 이미지를 요청해 주세요."


class WorkerLost(JobFailure):
    """The worker died three times while it ran this request."""

    code = "worker_lost"
    ko = "이 요청을 처리하던 워커가 세 번 중단되었습니다."


class DeadlineExceeded(JobFailure):
    """The request was not finished before its deadline."""

    code = "deadline_exceeded"
    ko = "요청이 기한 안에 끝나지 않았습니다."


class UpstreamFailed(JobFailure):
    """The API that draws for this model failed."""

    code = "upstream_failed"
    ko = "이 모델을 그리는 외부 API가 실패했습니다."


class InternalError(JobFailure):
    """The model raised an unexpected error; the server's log has the details."""

    code = "internal_error"
    ko = "모델에서 예기치 않은 오류가 발생했습니다. 자세한 내용은 서버 로그에 있습니다."


class GenerationFailed(SafelightError):
    """The images could not be made: a failure after acceptance, told by a call that waited for the result."""

    ko = "이미지를 만들지 못했습니다."
    OUR_OWN: ClassVar = {OutOfMemory, WorkerLost, UpstreamFailed, InternalError}

    def __init__(self, code: str, message: Text | str) -> None:
        super().__init__(message)
        is_ours = code in {failure.code for failure in self.OUR_OWN}
        self.code = code  # type: ignore[misc]
        self.http_status, self.error_code = (500, 500001) if is_ours else (422, 422001)  # type: ignore[misc]


class SettingsError(SafelightError):
    """A setting makes no sense."""

    code = "invalid_settings"


# --- Real weights: what `models pull` may meet --------------------------------------------------------


class PullFailed(SafelightError):
    """The weights could not be pulled."""

    code = "pull_failed"


class HubRefused(PullFailed):
    """The hub refuses; a token or an accepted licence is missing."""

    code = "hub_refused"


class HubUnreachable(PullFailed):
    """The hub cannot be reached now."""

    code = "hub_unreachable"
