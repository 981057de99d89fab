"""The OpenAI images API over the same queue: one call that waits, for clients that know no other way."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from safelight.api.answers import JsonBytes
from safelight.api.body import read_body, read_json_body
from safelight.api.documentation import documented, in_body
from safelight.api.openai_mapping import inputs_for, model_for
from safelight.api.openai_request import Asked, read_edit, read_generation
from safelight.api.services import base_url, caller, count_submission, language, request_base_url, services
from safelight.api.shapes import OpenAIImages
from safelight.api.submission import Submission
from safelight.api.wire import output_urls, to_bytes
from safelight.errors import GenerationFailed, Unavailable
from safelight.files.files import FileStore
from safelight.jobs import Job, JobStatus, Json
from safelight.texts import Text

WAIT_S = 590.0
"""Clients of that API hang up after ten minutes."""

SLOWEST_LOOK_S = 0.5

router = APIRouter()


_TEXTS = {name: {"type": "string"} for name in ("prompt", "model", "size", "quality", "response_format")}
_FIELDS: Json = _TEXTS | {"n": {"type": "integer", "minimum": 1, "maximum": 10}}
_FILE = {"type": "string", "format": "binary"}
_GENERATION = in_body(_FIELDS, ("prompt",))
_EDIT = in_body(_FIELDS | {"image": _FILE, "mask": _FILE}, ("prompt", "image"), "multipart/form-data")


@router.post("/v1/images/generations", **documented(OpenAIImages, "openai", body=_GENERATION))
async def generations(request: Request) -> Response:
    """Draw images from a prompt, as the OpenAI API does."""
    body = await read_json_body(request)
    return await _answer(request, await asyncio.to_thread(read_generation, body, language(request)))


@router.post("/v1/images/edits", **documented(OpenAIImages, "openai", body=_EDIT))
async def edits(request: Request) -> Response:
    """Change images as a prompt says, as the OpenAI API does; the mask's transparent part is repainted."""
    body = await read_body(request)
    kind = request.headers.get("content-type", "")
    return await _answer(request, await asyncio.to_thread(read_edit, body, kind, language(request)))


async def _answer(request: Request, asked: Asked) -> Response:
    known, base = services(request), base_url(request)
    model = model_for(asked, known.catalogue)
    addresses = (base, request_base_url(request))
    submission = Submission(known, caller(request), model, language(request), addresses, mask_is_holes=True)
    jobs: list[Job] = []
    try:
        for value in inputs_for(asked, model):
            count_submission(request)
            body = await asyncio.to_thread(_as_body, value)
            jobs.append(await submission.accept(body))
        ended = await _all_ended(request, jobs)
    except BaseException:
        for job in jobs:  # What is running runs on: its result stays.
            await known.store.cancel(job.id, job.account_id)
        raise
    return JsonBytes(await asyncio.to_thread(_body, asked, ended, base, known.files))


def _as_body(value: Json) -> bytes:
    return json.dumps(value).encode()


async def _all_ended(request: Request, jobs: list[Job]) -> list[Job]:
    """Wait until all are completed. Raises GenerationFailed, Unavailable, or ClientDisconnect."""
    store, give_up_s = services(request).store, time.monotonic() + WAIT_S
    hung_up = asyncio.ensure_future(request.receive())
    try:
        for number, job in enumerate(jobs):
            pause_s = 0.02
            while not job.status.is_final:
                await asyncio.wait({hung_up}, timeout=pause_s)
                pause_s = min(pause_s * 1.5, SLOWEST_LOOK_S)
                if hung_up.done():
                    raise ClientDisconnect
                if time.monotonic() > give_up_s:
                    raise Unavailable(_LATE, retry_after_s=RETRY_S)
                job = await store.get(job.id, job.account_id) or job
            jobs[number] = _completed(job)
    finally:
        hung_up.cancel()
    return jobs


RETRY_S = 60
_LATE = Text(
    "Not finished within ten minutes; /v1/models takes requests that you fetch when they are.",
    "10분 안에 끝나지 않았습니다. /v1/models로 요청하면 끝난 뒤에 결과를 가져갈 수 있습니다.",
)
_CANCELLED = Text("The request was cancelled.", "요청이 취소되었습니다.")


def _completed(job: Job) -> Job:
    if job.status is JobStatus.CANCELLED:
        raise GenerationFailed("cancelled", _CANCELLED)
    if job.error:
        raise GenerationFailed(job.error.code, job.error.message)
    return job


# --- The answer -----------------------------------------------------------------------------------------


def _body(asked: Asked, jobs: list[Job], base: str, files: FileStore) -> bytes:
    images = [image for job in jobs for image in _images(asked, job, base, files)]
    first = jobs[0].outputs[0]
    answer = {
        "created": int(jobs[-1].created_at.timestamp()),
        "data": images,
        "background": "opaque",
        "output_format": first.content_type.removeprefix("image/"),
        "size": f"{first.width}x{first.height}",
    }
    return to_bytes(answer)


def _images(asked: Asked, job: Job, base: str, files: FileStore) -> Iterator[Json]:
    for output, url in zip(job.outputs, output_urls(job, base), strict=True):
        if asked.wants_base64:
            image = {"b64_json": base64.b64encode(files.path(output.file_id).read_bytes()).decode()}
        else:
            image = {"url": url}
        if job.report and job.report.expanded_prompt is not None:
            image["revised_prompt"] = job.report.expanded_prompt
        yield image | {"request_id": job.id}
