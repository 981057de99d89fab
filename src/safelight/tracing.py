"""Spans for OpenTelemetry, where its packages (`safelight[otel]`) and an address to send them to are there.

A request's id is 128 random bits, and so is a trace's: they are the same. So every process puts what it does
for a request into one trace, without handing anything on, and whoever knows the request finds its trace
(`trace_id`).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from safelight import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

About = dict[str, str | int | float]
"""What a span says of itself."""

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own variables: without one of them nothing is traced, and its packages are not imported."""

_tracers: list[Tracer] = []


def configure_tracing(service: str) -> bool:
    """Begin to trace in this process. Returns whether it does; False too where the packages are missing."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return False
    about = {"service.name": service, "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(about))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracers[:] = [provider.get_tracer("safelight")]
    return True


@contextmanager
def job_span(job_id: str, name: str, **about: str | int) -> Iterator[None]:
    """A span in the trace of a job."""
    if not _tracers:
        yield
        return
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    root = trace_id(job_id)
    # The request itself: a span that nobody records, and that all processes agree on.
    request = SpanContext(root, root >> 64, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    context = set_span_in_context(NonRecordingSpan(request))
    with _open(name, context, _named({"job_id": job_id, **about})):
        yield


@contextmanager
def span(name: str) -> Iterator[None]:
    """A span within the one that is open."""
    if not _tracers:
        yield
        return
    with _open(name, None, {}):
        yield


@contextmanager
def _open(name: str, context: Context | None, about: About) -> Iterator[None]:
    # An exception's message may hold what a caller sent: its type alone is told.
    with _tracers[0].start_as_current_span(
        name, context, attributes=about, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield
        except BaseException as error:
            note(error=type(error).__name__)
            raise


def note(**about: str | int | float) -> None:
    """Say something about the span that is open."""
    if _tracers:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(_named(about))


def trace_id(job_id: str) -> int:
    """The number of a job's trace."""
    return int.from_bytes(base64.urlsafe_b64decode(f"{job_id}=="))


def _named(about: Mapping[str, str | int | float]) -> About:
    return {f"safelight.{name}": value for name, value in about.items()}
