"""A worker whose Wan jobs are drawn by the vendor's API."""

import asyncio
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image
from pydantic import SecretStr

from safelight.accounts.accounts import OWNER_ID
from safelight.api.wire import result_of
from safelight.engine.protocol import Done, Size
from safelight.jobs import Job, JobStatus, new_id
from safelight.launch import open_upstreams, worker_environment
from safelight.models import load_catalogue
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.network.fetch import Fetcher
from safelight.queue.store import StoredFile
from safelight.settings import read_settings
from safelight.texts import Language
from safelight.worker.attempt import Attempt
from safelight.worker.publish import report
from safelight.worker.wan_api import WanApi, WanPace
from safelight.worker.worker import MAX_ELSEWHERE
from tests import test_worker
from tests.jobs import new_job
from tests.wan_vendor import KEY, refusal, running_vendor

bench = test_worker.bench
database_url = test_worker.database_url

SIZE = "1344*576 (21:9)"


@pytest.fixture
async def vendor():
    async with running_vendor() as running:
        running.size = (1344, 576)
        yield running


@pytest.fixture
def wan(bench, vendor):
    """Starts the bench with the vendor as an upstream; returns what submits a job to it."""

    def start(**options):
        fetcher = Fetcher(allow=[f"127.0.0.1:{vendor.port}"])
        pace = WanPace(poll_s=0.02, answer_s=5, total_s=20)
        api = WanApi(vendor.url + "/api/v1", SecretStr(KEY), fetcher, pace)
        catalogue = load_catalogue(test_worker.MODELS, asks_upstreams=True)
        bench.equip(upstreams={WanImageToImage.id: api}, catalogue=catalogue)
        bench.start(**options)

    async def submit(sides=(384, 384), language=Language.EN, **values):
        file_id = new_id()
        path = bench.files.path(file_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", sides, "red").save(path, "PNG")
        now = datetime.now(UTC)
        await bench.store.add_file(StoredFile(file_id, OWNER_ID, "image/png", 1, now, None))
        body = {"prompt": "a ball", "image_urls": [f"file:{file_id}"], "image_size": SIZE} | values
        settled = WanImageToImage.Input.parse(body).settled()
        job = Job(
            new_id(), OWNER_ID, WanImageToImage.id, settled, JobStatus.IN_QUEUE, 0, now, language=language
        )
        await bench.store.add(job)
        return job.id

    submit.start = start
    return submit


async def test_the_vendor_draws_and_the_result_says_so(bench, vendor, wan):
    wan.start()
    job = await bench.ended(await wan())
    assert job.status is JobStatus.COMPLETED
    assert test_worker.opened(bench, job).getpixel((0, 0)) == (128, 0, 128)
    assert (job.outputs[0].width, job.outputs[0].height) == (1344, 576)
    assert (job.report.backend, job.report.weights) == ("upstream", "wan2.6-image")
    assert set(job.report.timings) == {"fetch", "upstream", "decode", "encode", "store"}
    assert job.report.notes == ()
    assert job.upstream_task == "task-1"
    told = result_of(job, "", include_cost=False)
    assert (told["backend"], told["weights"]) == ("upstream", "wan2.6-image")
    assert "upstream_task" not in told


async def test_a_picture_of_another_size_is_scaled_with_a_note(bench, vendor, wan):
    vendor.size = (672, 288)
    wan.start()
    job = await bench.ended(await wan())
    assert (job.outputs[0].width, job.outputs[0].height) == (1344, 576)
    assert job.report.notes == ("It was drawn at 672×288 pixels and scaled to the asked size.",)


async def test_other_jobs_run_while_the_vendor_is_slow(bench, vendor, wan):
    vendor.pending = 10**9
    wan.start()
    slow = await wan()
    await bench.until(slow, lambda job: job.upstream_task is not None)
    others = [await bench.ended(await bench.submit(seed=seed)) for seed in range(3)]
    assert [job.status for job in others] == [JobStatus.COMPLETED] * 3
    assert (await bench.get(slow)).status is JobStatus.IN_PROGRESS
    vendor.pending = 0
    assert (await bench.ended(slow)).status is JobStatus.COMPLETED


async def test_a_slow_vendor_is_waited_for_by_so_many_jobs_and_no_more(bench, vendor, wan):
    vendor.pending = 10**9
    wan.start()
    jobs = [await wan() for _ in range(MAX_ELSEWHERE + 2)]
    for job_id in jobs[:MAX_ELSEWHERE]:
        await bench.until(job_id, lambda job: job.upstream_task is not None)
    last = await bench.ended(await bench.submit())
    assert last.status is JobStatus.COMPLETED
    assert len(vendor.tasks) == MAX_ELSEWHERE
    vendor.pending = 0
    for job_id in jobs:
        assert (await bench.ended(job_id)).status is JobStatus.COMPLETED


async def test_what_the_vendor_refuses_fails_the_job(bench, vendor, wan):
    vendor.submit_answers = [refusal(400, "DataInspectionFailed")]
    wan.start()
    job = await bench.ended(await wan())
    assert (job.status, job.error.code, job.attempt) == (JobStatus.FAILED, "upstream_failed", 1)
    assert job.error.message == "Wan's API refused the prompt or an image: its content filter objects."


async def test_a_picture_that_is_none_fails_the_job(bench, vendor, wan):
    vendor.picture = b"<html>"
    wan.start()
    job = await bench.ended(await wan())
    assert (job.status, job.error.code) == (JobStatus.FAILED, "unsupported_image")


async def test_a_worker_that_stops_gives_the_job_back_and_the_next_one_pays_no_second_time(
    bench, vendor, wan
):
    vendor.pending = 10**9
    wan.start()
    job_id = await wan()
    await bench.until(job_id, lambda job: job.upstream_task is not None)
    await bench.stop(at_once=True)
    job = await bench.get(job_id)
    assert (job.status, job.attempt) == (JobStatus.IN_QUEUE, 0)
    assert vendor.called_off == []
    vendor.pending = 0
    bench._stop, bench._at_once = asyncio.Event(), asyncio.Event()
    wan.start(worker_id="another")
    assert (await bench.ended(job_id)).status is JobStatus.COMPLETED
    assert len(vendor.tasks) == 1


async def test_a_cancelled_job_calls_off_its_task_at_the_vendor(bench, vendor, wan):
    vendor.pending = 10**9
    wan.start()
    job_id = await wan()
    await bench.until(job_id, lambda job: job.upstream_task is not None)
    await bench.store.stop(job_id, OWNER_ID)
    assert (await bench.ended(job_id)).status is JobStatus.CANCELLED
    await bench.stop()
    assert vendor.called_off == ["task-1"]


async def test_a_drain_waits_for_what_the_vendor_draws(bench, vendor, wan):
    vendor.pending = 20
    wan.start(pace=replace(test_worker.QUICK, drain_s=60))  # the child may just be importing torch
    job_id = await wan()
    await bench.until(job_id, lambda job: job.upstream_task is not None)
    await bench.stop()
    assert (await bench.get(job_id)).status is JobStatus.COMPLETED


async def test_a_child_that_dies_costs_no_second_task(bench, vendor, wan):
    vendor.pending = 30
    wan.start()
    job_id = await wan()
    await bench.until(job_id, lambda job: job.upstream_task is not None)
    os.killpg(bench.child.pid, signal.SIGKILL)
    assert (await bench.ended(job_id)).status is JobStatus.COMPLETED
    assert len(vendor.tasks) == 1


@pytest.mark.parametrize(
    ("language", "message"),
    [
        (Language.EN, "Each image side must be at least 384 pixels."),
        (Language.KO, "각 이미지 변은 최소 384픽셀이어야 합니다."),
    ],
)
async def test_a_reference_that_breaks_a_rule_fails_in_the_requests_language(
    bench, vendor, wan, language, message
):
    wan.start()
    job = await bench.ended(await wan((383, 384), language))
    assert (job.status, job.error.code, job.error.message) == (JobStatus.FAILED, "invalid_image", message)
    assert vendor.tasks == []


def test_the_settings_say_who_draws(monkeypatch):
    fetcher = Fetcher()
    assert open_upstreams(read_settings(), fetcher) == {}
    monkeypatch.setenv("SAFELIGHT_WAN_API_KEY", KEY)
    (api,) = open_upstreams(read_settings(), fetcher).values()
    assert api.name == "wan2.6-image"
    passed_on = worker_environment(read_settings())
    assert passed_on["SAFELIGHT_WAN_API_KEY"] == KEY
    monkeypatch.setenv("SAFELIGHT_WAN_BACKEND", "local")
    assert open_upstreams(read_settings(), fetcher) == {}
    assert KEY not in repr(read_settings())


def test_the_catalogue_says_who_would_draw():
    model = WanImageToImage()
    asks = load_catalogue(asks_upstreams=True)
    assert asks.weights_of(model) == "wan2.6-image"
    assert model.id in asks.runnable_ids()
    assert load_catalogue().weights_of(model) in {"nano", None}


@pytest.mark.parametrize(
    ("model", "drawn_by", "backend", "weights"),
    [
        (WanImageToImage(), None, "local", "nano"),
        (WanImageToImage(), "wan2.6-image", "upstream", "wan2.6-image"),
        (OvisImage(), None, None, "nano"),
    ],
)
def test_a_report_names_the_backend_where_there_are_two(tmp_path, model, drawn_by, backend, weights):
    attempt = Attempt(new_job(model_id=model.id), tmp_path, drawn_by=drawn_by)
    done = Done([Size(16, 16)], "nano", 0.1, [])
    told = report(attempt, done, model)
    assert (told.backend, told.weights) == (backend, weights)
