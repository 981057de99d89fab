"""Live progress: what happens to a request, as server-sent events.

An event's id says what the client knows by then; who comes back with it as `Last-Event-ID` hears only what is
new.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from safelight.api.documentation import EVENTS, documented, in_path
from safelight.api.following import POLL_S, looks
from safelight.api.requests import UNKNOWN, request_id_of
from safelight.api.services import account, base_url, services
from safelight.api.wire import result_of, status_of, to_bytes
from safelight.errors import NotFound
from safelight.jobs import Job, Json
from safelight.queue.store import Standing, Store

SILENCE_S = 15.0
"""After so long without an event a comment keeps proxies from hanging up."""

router = APIRouter()

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no", "x-content-type-options": "nosniff"}
_EVENT_ID = re.compile(r"(\d{1,9})\.([a-z_]{1,20})\.(\d{1,9}|-)")


@dataclass(frozen=True)
class Known:
    """What a client knows of a request. step: None before the first one and after the end."""

    attempt: int = -1
    status: str = ""
    step: int | None = None

    @classmethod
    def of(cls, job: Job) -> Known:
        """Everything that can be known now."""
        progress = None if job.status.is_final else job.progress
        return cls(job.attempt, job.status.value, progress.step if progress else None)

    @classmethod
    def parse(cls, event_id: str) -> Known:
        """From an event's id; what is none means that nothing is known."""
        match = _EVENT_ID.fullmatch(event_id)
        if not match:
            return cls()
        return cls(int(match[1]), match[2], None if match[3] == "-" else int(match[3]))

    def __str__(self) -> str:
        return f"{self.attempt}.{self.status}.{'-' if self.step is None else self.step}"


@router.get("/v1/requests/{request_id}/events", **documented(EVENTS, "requests", in_path("request_id")))
async def events(request: Request) -> Response:
    """Stream what happens to a request: `status`, `progress`, `preview`, and at the end `done`."""
    store, owner, address = services(request).store, account(request).id, base_url(request)
    job = await store.get(request_id_of(request), owner)
    if job is None:
        raise NotFound(UNKNOWN)
    known = Known.parse(request.headers.get("last-event-id", ""))
    return StreamingResponse(_stream(store, job, known, address), 200, _HEADERS, "text/event-stream")


async def _stream(store: Store, job: Job, known: Known, address: str) -> AsyncIterator[bytes]:
    silent_s = 0.0
    async for now in looks(store, job):
        for name, content in news(now, known, address):
            yield f"id: {Known.of(now)}\nevent: {name}\ndata: ".encode() + to_bytes(content) + b"\n\n"
            silent_s = 0.0
        known = Known.of(now)
        silent_s += POLL_S
        if silent_s > SILENCE_S:
            yield b":\n\n"
            silent_s = 0.0


def news(job: Job, known: Known, address: str) -> Iterator[tuple[str, Json]]:
    """What a client does not know yet, as event names and their content."""
    now = Known.of(job)
    if (now.attempt, now.status) != (known.attempt, known.status):
        yield "status", status_of(job.id, Standing(job.status, None), address)
    if job.status.is_final:
        # Also to who says that it knows: the connection may have broken just before this.
        yield "done", result_of(job, address, include_cost=False)
    elif job.progress and now != known:
        yield "progress", {"step": job.progress.step, "steps": job.progress.steps}
        if job.preview:
            yield "preview", {"image": job.preview}
