"""The log: one line per event on standard error, with named fields.

A field never holds a prompt, a token, a query string or a data URI. So errors are logged as their class and
the lines they came through, not as their message, and never with local variables.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import structlog


def configure_log() -> None:
    """Set the log of this process up."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def whereabouts(error: BaseException) -> dict[str, Any]:
    """The fields that say what an unexpected error is and where it came from."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {
        "error": type(error).__name__,
        "at": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }
