"""The OpenAPI document: complete, and true of every answer (schemathesis asks for all of them)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from safelight.api.app import create_app
from safelight.api.wire import MAX_ERROR_BYTES
from tests.api_server import OWNER_KEY, RunningServer, running_server
from tests.proofs import count

TRUE = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose jobs are completed as they come."""
    over = threading.Event()
    with running_server(tmp_path_factory.mktemp("openapi")) as server:
        worker = threading.Thread(target=work, args=(server, over))
        worker.start()
        yield server
        over.set()
        worker.join()


def work(server: RunningServer, over: threading.Event) -> None:
    store, models = server.services.store, server.services.catalogue.runnable_ids()
    while not over.wait(0.02):
        while not over.is_set() and (job := server.do(store.claim("worker-1", models))):
            server.finish(job)


@pytest.fixture(scope="module")
def document(busy):
    return schemathesis.openapi.from_url(f"{busy.url}/openapi.json")


@pytest.mark.proof
def test_no_answer_breaks_what_the_document_says(document):
    at_length = settings(
        max_examples=count(3, 300), deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    operations = [found.ok() for found in document.exclude(path_regex="/events$").get_all_operations()]
    assert len(operations) > 30
    broken = []
    for operation in operations:
        try:
            at_length(given(operation.as_strategy())(is_as_documented))()
        except FailureGroup as failures:
            broken += [f"{operation.label}: {failure}" for failure in failures.exceptions]
    assert not broken, "\n".join(broken)


def is_as_documented(case) -> None:
    answer = case.call(headers={"authorization": f"Bearer {OWNER_KEY}"})
    # A model without weights here cannot run, whatever is sent to it.
    is_away = answer.status_code == 503 and answer.json()["error"]["code"] == "unavailable"
    case.validate_response(answer, checks=TRUE[1:] if is_away else TRUE)
    if answer.status_code >= 400:
        assert len(answer.content) <= MAX_ERROR_BYTES


def test_every_route_is_in_the_document(busy):
    with busy.client(None) as nobody:
        paths = nobody.get("/openapi.json").json()["paths"]
    routes = {route.path.replace(":path}", "}") for route in create_app(busy.services).router.routes}
    assert routes - set(paths) == {"/openapi.json"}


def test_every_model_has_a_path_with_its_own_input(busy):
    with busy.client(None) as nobody:
        paths = nobody.get("/openapi.json").json()["paths"]
    submit = paths["/v1/models/tongyi-mai/z-image/turbo/inpainting/lora"]["post"]
    body = submit["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["prompt", "image_url", "mask_image_url"]
    assert body["properties"]["strength"] | {"description": ""} == {
        "title": "Strength",
        "description": "",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 1,
    }
    assert body["additionalProperties"] is False
