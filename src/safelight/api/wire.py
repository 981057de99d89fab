"""The only translation between our words and the wire's: answers, error bodies, URLs, timestamps.

A *job* is a *request* on the wire; `completed` is `succeeded` in a result; a failed job's status reads
`completed`, because every known client stops polling there and then finds the failure in the result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime

from safelight import examples
from safelight.callers import Account, Caller
from safelight.credits.ledger import Balance
from safelight.errors import SafelightError
from safelight.jobs import Job, JobStatus, Json
from safelight.models.base import Model
from safelight.prices import Price, Quote
from safelight.queue.store import Standing
from safelight.queue.webhooks import Event, Try
from safelight.schema import OUTPUT_SCHEMA, published_schema
from safelight.texts import Language

MAX_ERROR_BYTES = 4096
MAX_MESSAGE_CHARACTERS = 500

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
"""The extension in an output's URL, by content type."""

_STATUS_WORDS = {JobStatus.FAILED: "completed"}
_RESULT_WORDS = {JobStatus.COMPLETED: "succeeded"}
STATUSES = {
    "in_queue": (JobStatus.IN_QUEUE,),
    "in_progress": (JobStatus.IN_PROGRESS,),
    "succeeded": (JobStatus.COMPLETED,),
    "failed": (JobStatus.FAILED,),
    "completed": (JobStatus.COMPLETED, JobStatus.FAILED),
    "cancelled": (JobStatus.CANCELLED,),
}
"""What a list of requests may be filtered by: the words of results, and of statuses."""

_OWN_FILE = re.compile(r"/files/([A-Za-z0-9_-]{22})\.[a-z]{3,4}")


def to_bytes(content: object) -> bytes:
    """The JSON text of an answer."""
    return _ENCODER.encode(content).encode()


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


# --- Requests -----------------------------------------------------------------------------------------


def submitted(job: Job, base_url: str) -> Json:
    """The answer to a submission."""
    address = _address(job.id, base_url)
    return {
        "request_id": job.id,
        "status_url": f"{address}/status",
        "result_url": f"{address}/result",
        "cancel_url": f"{address}/cancel",
    }


def status_of(job_id: str, standing: Standing, base_url: str) -> Json:
    """Where a request is."""
    answer: Json = {"request_id": job_id, "status": _status_word(standing.status)}
    if standing.ahead is not None:
        answer["queue_position"] = standing.ahead
    address = _address(job_id, base_url)
    answer["status_url"] = f"{address}/status"
    answer["result_url"] = f"{address}/result"
    return answer


def result_of(job: Job, base_url: str, *, include_cost: bool) -> Json:
    """What came out of a request, or where it is as long as nothing has."""
    answer: Json = {"request_id": job.id, "status": _RESULT_WORDS.get(job.status, job.status.value)}
    if job.status is JobStatus.COMPLETED:
        answer["output"] = _output(job, base_url)
        expiries = [output.expires_at for output in job.outputs if output.expires_at]
        if expiries:
            answer["expires_at"] = timestamp(min(expiries))
    if job.error and job.status.is_final:
        answer["error"] = {"code": job.error.code, "message": job.error.message}
    answer |= {
        "created_at": timestamp(job.created_at),
        "finished_at": timestamp(job.finished_at) if job.finished_at else None,
        "model_id": job.model_id,
    }
    if include_cost:
        answer["cost"] = float(job.cost)
    return answer | _report(job)


def cancellation(job: Job) -> Json:
    """The answer to a cancellation, from the job as it is after it."""
    outcome = "not_cancellable"
    if job.status is JobStatus.CANCELLED:
        outcome = "cancelled"
    elif job.status is JobStatus.IN_PROGRESS and job.cancel_requested:
        outcome = "cancelling"
    return {"request_id": job.id, "status": _status_word(job.status), "outcome": outcome}


def _status_word(status: JobStatus) -> str:
    return _STATUS_WORDS.get(status, status.value)


def _address(job_id: str, base_url: str) -> str:
    return f"{base_url}/v1/requests/{job_id}"


def file_url(file_id: str, content_type: str, base_url: str) -> str:
    """Where a stored file is."""
    return f"{base_url}/files/{file_id}.{EXTENSIONS[content_type]}"


def output_urls(job: Job, base_url: str) -> list[str]:
    """The URLs of a completed job's images."""
    return [file_url(image.file_id, image.content_type, base_url) for image in job.outputs]


def _output(job: Job, base_url: str) -> Json:
    urls = output_urls(job, base_url)
    return {"image": urls[0]} if len(urls) == 1 else {"images": urls}


def _report(job: Job) -> Json:
    if not job.report:
        return {}
    report = job.report
    answer: Json = {
        "seed": report.seed,
        "weights": report.weights,
        "timings": report.timings,
        "notes": list(report.notes),
    }
    if report.loras:
        answer["loras"] = list(report.loras)
    if report.backend is not None:
        answer["backend"] = report.backend
    if report.expanded_prompt is not None:
        answer["expanded_prompt"] = report.expanded_prompt
    return answer


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond: `2026-11-21T08:15:00.123Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def delivery_of(event: Event, tries: Iterable[Try] | None = None) -> Json:
    """A delivery in the log. tries: what has been tried, where that is shown."""
    answer: Json = {
        "event_id": event.id,
        "event": "done" if event.status.is_final else "status",
        "request_id": event.job_id,
        "status": _status_word(event.status),
        "url": event.url,
        "state": event.state.value,
        "attempts": event.attempts,
        "created_at": timestamp(event.created_at),
        "next_attempt_at": timestamp(event.due_at) if event.due_at else None,
        "delivered_at": timestamp(event.delivered_at) if event.delivered_at else None,
    }
    if tries is not None:
        answer["tries"] = [
            {"at": timestamp(one.at), "http_status": one.http_status, "seconds": one.milliseconds / 1000}
            for one in tries
        ]
    return answer


# --- Account ------------------------------------------------------------------------------------------


def balance_of(account: Account, balance: Balance) -> Json:
    """What the account may spend, and what requests under way hold of it."""
    if account.unmetered:
        return {"balance_usd": 0, "currency": "USD", "unmetered": True}
    return {"balance_usd": float(balance.free), "currency": "USD", "held_usd": float(balance.held)}


def quote_of(quote: Quote, account: Account, balance: Balance) -> Json:
    """What a request would cost. at_most: the outcome decides, up to that."""
    answer: Json = {"cost": float(quote.cost), "at_most": quote.rate is not None}
    return answer | balance_of(account, balance)


def identity_of(caller: Caller) -> Json:
    """Whose key this is, or whose session."""
    kind = "session" if caller.key_id is None else "api_key"
    return {"id": caller.account.id, "email": caller.account.email, "token_type": kind}


# --- Catalogue ----------------------------------------------------------------------------------------


def catalogue_entry(
    model: Model, price: Price, language: Language, weights: str | None, *, include_schema: bool
) -> Json:
    """One model as the catalogue shows it. weights: what would draw now; None: nothing here can."""
    entry: Json = {
        "model_id": model.id,
        "display_name": model.display_name,
        "description": model.description.within(language),
        "categories": list(model.categories),
        "kind": "model",
        "base_price_usd": float(price.usd),
        "price_unit": price.unit.value,
        "pricing_note": model.note_on(price).within(language),
        "weights": weights,
        "ready": weights is not None,
        "licence": model.licence,
    }
    if include_schema:
        entry["input_schema"] = published_schema(model.Input, language)
        entry["output_schema"] = OUTPUT_SCHEMA
    return entry


def catalogue_page(entries: Iterable[Json], total: int) -> Json:
    """One page of the catalogue; `object` and `data` are what image front ends look for."""
    models = list(entries)
    data = [{"id": entry["model_id"], "object": "model"} for entry in models]
    return {"models": models, "total": total, "object": "list", "data": data}


# --- Files --------------------------------------------------------------------------------------------


def own_file_id(url: str, base_urls: Iterable[str]) -> str | None:
    """The file's id when a URL is one of this server's output URLs, else None."""
    for base_url in base_urls:
        match = _OWN_FILE.fullmatch(url.removeprefix(base_url)) if url.startswith(base_url) else None
        if match:
            return match.group(1)
    return None


def example_name(url: str, base_urls: Iterable[str]) -> str:
    """What a URL calls one of this server's example pictures; empty when it is of another kind."""
    for base_url in base_urls:
        if url.startswith(base_url + examples.PATH):
            return url.removeprefix(base_url + examples.PATH)
    return ""


# --- Errors -------------------------------------------------------------------------------------------


def error_body(error: SafelightError, language: Language, *, for_openai: bool = False) -> bytes:
    """An error as JSON, never above MAX_ERROR_BYTES."""
    content = error_content(error, language, for_openai=for_openai)
    body = to_bytes(content)
    while len(body) > MAX_ERROR_BYTES:
        content["error"]["fields"].pop()
        body = to_bytes(content)
    return body


def error_content(error: SafelightError, language: Language, *, for_openai: bool = False) -> Json:
    """The one shape of every error. for_openai: with the two words more that clients of that API read."""
    message = _short(error.text.within(language))
    detail: Json = {"code": error.code, "message": message}
    if for_openai:
        detail["type"] = "server_error" if error.http_status >= 500 else "invalid_request_error"
        detail["param"] = _short(error.fields[0].field) if error.fields else None
    content: Json = {"error_code": error.error_code, "error_message": message, "error": detail}
    if error.fields:
        detail["fields"] = [
            {"field": _short(problem.field), "message": _short(problem.within(language))}
            for problem in error.fields
        ]
    return content


def _short(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[: MAX_MESSAGE_CHARACTERS - 1] + "…"
