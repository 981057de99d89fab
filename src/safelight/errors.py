"""Every error on one page.

An error has a stable `code` for programs, an HTTP status and a number for the wire, and a message for
people: what was wrong and what would work. The docstring is the default message. The middle of the code
raises; only the edges (HTTP handler, worker loop, command line) catch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldProblem:
    """One field of an input that was refused, and why."""

    field: str
    message: str


class SafelightError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    error_code: ClassVar[int] = 500001

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: tuple[FieldProblem, ...] = (),
        retry_after_s: int | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.fields = fields
        self.retry_after_s = retry_after_s
        super().__init__(self.message)


# --- Answers of the API -----------------------------------------------------------------------------


class InvalidJson(SafelightError):
    """The body is not valid JSON."""

    code, http_status, error_code = "invalid_json", 400, 400003


class InvalidHeader(SafelightError):
    """A header has a value that makes no sense."""

    code, http_status, error_code = "invalid_header", 400, 400005


class Unauthorized(SafelightError):
    """Send a valid API key: Authorization: Bearer <key>."""

    code, http_status, error_code = "unauthorized", 401, 400004


class InsufficientCredits(SafelightError):
    """The balance does not cover this request."""

    code, http_status, error_code = "insufficient_credits", 402, 400002


class Forbidden(SafelightError):
    """This key may not do that."""

    code, http_status, error_code = "forbidden", 403, 403001


class ModelNotFound(SafelightError):
    """There is no such model."""

    code, http_status, error_code = "model_not_found", 404, 400001


class NotFound(SafelightError):
    """There is no such thing here."""

    code, http_status, error_code = "not_found", 404, 404001


class MethodNotAllowed(SafelightError):
    """This address does not answer to that method."""

    code, http_status, error_code = "method_not_allowed", 405, 405001


class IdempotencyInProgress(SafelightError):
    """The first request with this Idempotency-Key is still being answered."""

    code, http_status, error_code = "idempotency_in_progress", 409, 409001


class Expired(SafelightError):
    """This file is past its retention and was deleted."""

    code, http_status, error_code = "expired", 410, 410001


class BodyTooLarge(SafelightError):
    """The body is too large."""

    code, http_status, error_code = "body_too_large", 413, 413001


class UnsupportedMediaType(SafelightError):
    """Send the body as application/json."""

    code, http_status, error_code = "unsupported_media_type", 415, 415001


class InvalidInput(SafelightError):
    """The input does not fit the model's schema."""

    code, http_status, error_code = "invalid_input", 422, 422001


class IdempotencyMismatch(SafelightError):
    """This Idempotency-Key was used with another body."""

    code, http_status, error_code = "idempotency_mismatch", 422, 422002


class UrlNotAllowed(SafelightError):
    """This URL may not be fetched: give a public https:// address or a data URI."""

    code, http_status, error_code = "url_not_allowed", 422, 422003


class PathNotAllowed(SafelightError):
    """Local files are not available under this path."""

    code, http_status, error_code = "path_not_allowed", 422, 422004


class RateLimited(SafelightError):
    """Too many requests; try again later."""

    code, http_status, error_code = "rate_limited", 429, 429001


class Unavailable(SafelightError):
    """The service cannot answer right now; try again shortly."""

    code, http_status, error_code = "unavailable", 503, 503001


class StorageFull(SafelightError):
    """The storage of this server is full; nothing was accepted."""

    code, http_status, error_code = "storage_full", 507, 507001


# --- Found after acceptance: how a job fails. They appear in the result and cost nothing. --------------


class JobFailure(SafelightError):
    """The job failed."""


class FetchFailed(JobFailure):
    """A file could not be fetched."""

    code = "fetch_failed"


class FetchTimeout(JobFailure):
    """A file took too long to fetch."""

    code = "fetch_timeout"


class TooManyRedirects(JobFailure):
    """A file's address redirects more than 3 times."""

    code = "too_many_redirects"


class FileTooLarge(JobFailure):
    """A file is too large."""

    code = "file_too_large"


class UnsupportedImage(JobFailure):
    """This is not a PNG, JPEG or WebP image."""

    code = "unsupported_image"


class CorruptImage(JobFailure):
    """The image is damaged or cut off."""

    code = "corrupt_image"


class ImageTooLarge(JobFailure):
    """The image has more than 64 megapixels or a side above 16384 pixels."""

    code = "image_too_large"


class InvalidImage(JobFailure):
    """The image does not fit what the model asks for."""

    code = "invalid_image"


class InvalidLora(JobFailure):
    """This file is no LoRA that can be used."""

    code = "invalid_lora"


class LoraIncompatible(JobFailure):
    """The LoRA was made for another model."""

    code = "lora_incompatible"


class LoraNotFound(JobFailure):
    """The LoRA was not found."""

    code = "lora_not_found"


class OutOfMemory(JobFailure):
    """The device ran out of memory; ask for a smaller image."""

    code = "out_of_memory"


class WorkerLost(JobFailure):
    """The worker died three times while it ran this request."""

    code = "worker_lost"


class DeadlineExceeded(JobFailure):
    """The request was not finished before its deadline."""

    code = "deadline_exceeded"


class UpstreamFailed(JobFailure):
    """The API that draws for this model failed."""

    code = "upstream_failed"


class InternalError(JobFailure):
    """The model raised an unexpected error; the server's log has the details."""

    code = "internal_error"


class GenerationFailed(SafelightError):
    """The images could not be made: a failure after acceptance, told by a call that waited for the result."""

    OUR_OWN: ClassVar = {OutOfMemory, WorkerLost, UpstreamFailed, InternalError}

    def __init__(self, code: str, message: str) -> None:
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
