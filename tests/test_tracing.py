"""Traces, received as OpenTelemetry sends them: one for each request, over all processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from safelight.client import RequestFailed
from safelight.jobs import new_id
from safelight.tracing import configure_tracing, trace_id
from tests.serving import served


class Collector(ThreadingHTTPServer):
    """Keeps the spans that are posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans: list[tuple[str, object]] = []

    def of(self, request_id: str) -> dict[str, dict[str, object]]:
        """The spans of a request by service and name, with what they say."""
        wanted = trace_id(request_id).to_bytes(16, "big")
        return {
            f"{service} {span.name}": {
                pair.key.removeprefix("safelight."): pair.value.string_value
                or pair.value.int_value
                or pair.value.double_value
                for pair in span.attributes
            }
            for service, span in self.spans
            if span.trace_id == wanted
        }


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {pair.key: pair.value.string_value for pair in group.resource.attributes}
            for scope in group.scope_spans:
                self.server.spans += [(names["service.name"], span) for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_request_is_one_trace_whatever_process_serves_it(collector, tmp_path, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    with served(tmp_path / "data") as server, server.client() as client:
        good = client.submit("test/instant", {"prompt": "a secret"}).request_id
        client.wait(good)
        bad = client.submit("test/raises", {}).request_id
        with pytest.raises(RequestFailed):
            client.wait(bad)
        assert server.stop() == 0
    spans = collector.of(good)
    stages = {f"safelight-worker {name}" for name in ("attempt", "fetch", "generate", "encode", "store")}
    assert set(spans) == stages | {"safelight-api submit"}
    assert spans["safelight-worker attempt"]["model_id"] == "test/instant"
    assert spans["safelight-worker attempt"]["job_id"] == good
    assert collector.of(bad)["safelight-worker attempt"]["code"] == "internal_error"
    assert "a secret" not in str(collector.spans)


def test_a_traces_number_is_the_requests(monkeypatch):
    assert trace_id("AAAAAAAAAAAAAAAAAAAAAQ") == 1
    assert 0 < trace_id(new_id()) < 2**128


def test_without_an_address_nothing_is_traced(monkeypatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert configure_tracing("safelight-api") is False
