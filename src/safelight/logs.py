"""The log: one line per event on standard error, with named fields; JSON where no person watches.

A field never holds a prompt, a token, a query string or a data URI. So errors are logged as their class and
the lines they came through, not as their message, and never with local variables; and only fields that are
listed here get through.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import structlog
from structlog.types import EventDict, Processor

ALLOWED = frozenset(
    {"event", "level", "timestamp"}
    # who and what
    | {"worker_id", "job_id", "attempt", "model_id", "account_id", "request_id", "pid", "chance"}
    | {"file_id", "event_id"}
    # how it went: words and numbers of ours
    | {"status", "code", "reason", "returncode", "confined", "module", "error", "at", "count", "seconds"}
    | {"http_status", "state"}
    # where: our own routes and hosts that the operator has named
    | {"endpoint", "method", "hosts", "endpoints", "upstream"}
)
"""The fields that may be logged. Whoever adds one answers for what it can hold."""

MAX_CHARACTERS = 500


def configure_log() -> None:
    """Set the log of this process up."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            _renderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def only_allowed(logger: object, method: str, event: EventDict) -> EventDict:
    """Drop the fields that are not allowed, say which, and shorten the others."""
    kept = {name: _short(value) for name, value in event.items() if name in ALLOWED}
    dropped = sorted(set(event) - ALLOWED)
    return kept | {"dropped": dropped} if dropped else kept


def _short(value: Any) -> Any:
    too_long = isinstance(value, str) and len(value) > MAX_CHARACTERS
    return value[: MAX_CHARACTERS - 1] + "…" if too_long else value


def _renderer() -> Processor:
    if not sys.stderr.isatty():
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def whereabouts(error: BaseException) -> dict[str, Any]:
    """The fields that say what an unexpected error is and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {
        "error": type(error).__name__,
        "at": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
