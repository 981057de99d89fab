"""The figures for Prometheus: true for everything that happens in the database, whoever does it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from safelight.accounts.accounts import OWNER_ID
from safelight.db.tables import jobs
from safelight.figures import Figures
from safelight.jobs import JobError, Report
from safelight.queue.tally import MAX_MISSED, Tally
from tests.jobs import MODEL, new_job

REPORT = Report(seed=1, weights="nano", timings={"generate": 1.5, "encode": 0.25})
ERROR = JobError("corrupt_image", "The image is damaged or cut off.")
LABELS = ("worker", "model", "outcome", "code", "stage")
DEPLOY = Path(__file__).parents[1] / "deploy"


@pytest.fixture
async def figures(database):
    tally = Tally(database)
    await tally.begin()
    return Figures(tally)


async def read(figures: Figures) -> dict[tuple[str, ...], float]:
    """The samples of ours by name and label values."""
    return samples((await figures.text()).decode())


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("safelight")
    }


async def test_what_waits_and_runs_is_there(store, figures):
    for model in (MODEL, MODEL, "another/model"):
        await store.add(new_job(model_id=model))
    await store.claim("worker-1", [MODEL])
    found = await read(figures)
    assert found["safelight_queue_jobs", MODEL] == 1
    assert found["safelight_queue_jobs", "another/model"] == 1
    assert found["safelight_running_jobs", "worker-1", MODEL] == 1
    assert 0 <= found["safelight_queue_oldest_seconds", MODEL] < 600


async def test_every_ending_is_counted_once(store, figures):
    completed, failed, cancelled = new_job(), new_job(), new_job(model_id="another/model")
    for job in (completed, failed, cancelled):
        await store.add(job)
    await store.complete(await store.claim("worker-1", [MODEL]), [], [], REPORT)
    await store.fail(await store.claim("worker-2", [MODEL]), ERROR)
    await store.cancel(cancelled.id, OWNER_ID)
    for _ in range(2):
        found = await read(figures)
        assert found["safelight_jobs_total", MODEL, "completed", ""] == 1
        assert found["safelight_jobs_total", MODEL, "failed", "corrupt_image"] == 1
        assert found["safelight_jobs_total", "another/model", "cancelled", ""] == 1
        assert found["safelight_wait_seconds_count", MODEL] == 2
        assert found["safelight_stage_seconds_sum", MODEL, "generate"] == 1.5
        assert found["safelight_worker_stage_seconds_sum", "worker-1", MODEL, "encode"] == 0.25
        assert ("safelight_queue_jobs", MODEL) not in found


async def test_two_processes_count_the_same(store, database, figures):
    other = Figures(Tally(database))
    await store.add(new_job())
    job = await store.claim("worker-1", [MODEL])
    await read(figures)
    await store.complete(job, [], [], REPORT)
    assert (await read(figures))["safelight_jobs_total", MODEL, "completed", ""] == 1
    assert (await read(other))["safelight_jobs_total", MODEL, "completed", ""] == 1


async def test_what_ended_before_this_process_began_is_not_counted(store, database):
    await store.add(new_job())
    await store.complete(await store.claim("worker-1", [MODEL]), [], [], REPORT)
    await store.add(new_job())
    tally = Tally(database)
    await tally.begin()
    assert await tally.ended() == []
    await store.complete(await store.claim("worker-1", [MODEL]), [], [], REPORT)
    assert len(await tally.ended()) == 1


async def test_many_scrapes_at_once_count_once(store, database):
    tally = Tally(database)
    await tally.begin()
    for _ in range(5):
        await store.add(new_job())
        await store.complete(await store.claim("worker-1", [MODEL]), [], [], REPORT)
    found = await asyncio.gather(*(tally.ended() for _ in range(5)))
    assert sorted(map(len, found)) == [0, 0, 0, 0, 5]


async def test_a_number_without_a_job_is_looked_for_a_while(store, database):
    """On Postgres a transaction may show its number later than the next one, or never."""
    tally = Tally(database)
    await store.add(new_job())
    late = await store.claim("worker-1", [MODEL])
    await store.complete(late, [], [], REPORT)
    newest = await database.read(
        lambda connection: connection.execute(sa.select(sa.func.max(jobs.c.seq))).scalar()
    )
    await tally.begin()
    tally._newest, tally._missed = newest, {newest + 1: 0}
    assert await tally.ended() == []
    await store.add(replace(new_job(), id="late"))
    await store.complete(await store.claim("worker-1", [MODEL]), [], [], REPORT)
    assert len(await tally.ended()) == 1
    tally._missed = {newest + 99: 0}
    for _ in range(MAX_MISSED):
        assert tally._missed
        await tally.ended()
    assert not tally._missed


# --- The route ------------------------------------------------------------------------------------------


def test_the_owner_reads_them_over_http(server, client):
    server.finish(server.claim(server.submit(client)))
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert samples(answer.text)["safelight_jobs_total", "test/instant", "completed", ""] >= 1


def test_nobody_else_reads_them(server):
    from tests.api_server import NEIGHBOUR_KEY

    with server.client(NEIGHBOUR_KEY) as neighbour, server.client(None) as nobody:
        assert neighbour.get("/metrics").status_code == 403
        assert nobody.get("/metrics").status_code == 401


def test_the_dashboard_asks_for_figures_that_exist(server, client):
    server.finish(server.claim(server.submit(client)))
    known = set(re.findall(r"^# TYPE (\w+) ", client.get("/metrics").text, re.MULTILINE))
    asked = set(re.findall(r"\b(?:safelight|process)_\w+", (DEPLOY / "grafana-dashboard.json").read_text()))
    assert asked
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} <= known | {"safelight_info"}
