import asyncio
import contextlib
import io
import itertools
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from structlog.testing import capture_logs

from safelight.accounts.accounts import OWNER_ID
from safelight.db.wake import open_waker
from safelight.engine.decoder import Decoder
from safelight.engine.parent import Child
from safelight.engine.process import Patience
from safelight.engine.protocol import Setup
from safelight.errors import InternalError, StorageFull, Unavailable, WorkerLost
from safelight.files.files import LocalFiles
from safelight.jobs import Job, JobStatus, Progress, new_id
from safelight.models import load_catalogue
from safelight.network.fetch import Fetcher
from safelight.queue.backoff import backoff
from safelight.queue.store import Store, StoredFile
from safelight.queue.turns import MAX_OVERTAKING
from safelight.texts import Language
from safelight.worker import running
from safelight.worker.lora_cache import LoraCache
from safelight.worker.lora_library import LoraLibrary
from safelight.worker.running import Equipment
from safelight.worker.worker import Pace, Worker
from tests.sites import Site, answer

MODELS = Path(__file__).parent / "models"
QUICK = Pace(heartbeat_s=0.1, poll_s=0.5, drain_s=5, rest_s=0.2)
IMPATIENT = Patience(step_s=1, stop_s=1, decode_s=1)


class RecordingStore(Store):
    """A real store that remembers what was asked of it, and can be away."""

    def __init__(self, database, waker):
        super().__init__(database, waker)
        self.calls = []
        self.beats = []
        self.away = False
        self.leases = {}
        self.lose_next_answer = False

    async def claim(self, worker_id, model_ids, preferred_ids=()):
        self._answer()
        job = await super().claim(worker_id, model_ids, preferred_ids)
        if job:
            self.calls.append(("claim", job.id))
        return job

    async def heartbeat(self, worker_id, jobs):
        self._answer()
        self.beats.append(dict(jobs))
        return await super().heartbeat(worker_id, jobs) | self.leases

    async def complete(self, job, outputs, shown, report):
        self._answer()
        done = await super().complete(job, outputs, shown, report)
        self.calls.append(("complete", job.id))
        if self.lose_next_answer:
            self.lose_next_answer = False
            raise Unavailable
        return done

    async def lose_attempt(self, job):
        self._answer()
        self.calls.append(("lose_attempt", job.id))
        return await super().lose_attempt(job)

    async def release(self, job):
        self._answer()
        self.calls.append(("release", job.id))
        return await super().release(job)

    def _answer(self):
        if self.away:
            raise Unavailable("the test took the database away")


class FullFiles(LocalFiles):
    """A real folder whose disk is full for the next `full` puts."""

    full = 0

    async def put(self, name, data):
        if self.full:
            self.full -= 1
            raise StorageFull
        await super().put(name, data)


class Bench:
    """A worker on a real database, and what a test does to it."""

    def __init__(self, store, files, waker, scratch):
        self.store, self.files, self.scratch = store, files, scratch
        fetcher = Fetcher(allow=["127.0.0.1:1"])
        cache = LoraCache(scratch.parent / "loras", 10**9)
        self.equipment = Equipment(
            store=store,
            files=files,
            fetcher=fetcher,
            loras=LoraLibrary(cache, fetcher, hub_url="http://127.0.0.1:1"),
            catalogue=load_catalogue(MODELS),
            child=Child(Setup("cpu", str(MODELS)), IMPATIENT),
            decoder=Decoder(IMPATIENT),
        )
        self._waker = waker
        self._stop, self._at_once = asyncio.Event(), asyncio.Event()
        self._task = None

    def start(self, pace=QUICK, worker_id="worker"):
        self.worker = Worker(worker_id, self.equipment, waker=self._waker, scratch=self.scratch, pace=pace)
        self._task = asyncio.create_task(self.worker.run(self._stop, self._at_once))

    def allow(self, site):
        self.equip(fetcher=Fetcher(allow=[f"127.0.0.1:{site.port}"]))

    @property
    def child(self):
        return self.equipment.child

    @child.setter
    def child(self, child):
        self.equip(child=child)

    def equip(self, **changes):
        """Give the next worker something else to work with."""
        self.equipment = replace(self.equipment, **changes)

    async def stop(self, at_once=False):
        self._stop.set()
        if at_once:
            self._at_once.set()
        if self._task:
            await self._task
            self._task = None

    async def submit(self, model="test/instant", language=Language.EN, **values):
        now = datetime.now(UTC)
        job = Job(new_id(), OWNER_ID, model, values, JobStatus.IN_QUEUE, 0, now, language=language)
        await self.store.add(job)
        return job.id

    async def get(self, job_id):
        return await Store.get(self.store, job_id, OWNER_ID)

    async def ended(self, job_id):
        return await self.until(job_id, lambda job: job.status.is_final)

    async def running(self, job_id):
        return await self.until(job_id, lambda job: job.progress is not None)

    async def until(self, job_id, condition):
        async with asyncio.timeout(20):
            while not condition(job := await self.get(job_id)):
                await asyncio.sleep(0.02)
        return job


@pytest.fixture
def database_url(sqlite_url):
    """The worker never sees which database it is; the store's own tests run on both."""
    return sqlite_url


@pytest.fixture
async def bench(database, database_url, tmp_path):
    waker = open_waker(database_url)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    bench = Bench(RecordingStore(database, waker), FullFiles(tmp_path / "files"), waker, scratch)
    yield bench
    bench.store.away = False
    await bench.stop(at_once=True)
    await waker.close()
    assert list(scratch.iterdir()) == []


def opened(bench, job):
    return Image.open(io.BytesIO(bench.files.path(job.outputs[0].file_id).read_bytes()))


@contextlib.asynccontextmanager
async def site(**answers):
    site = Site()
    await site.start()
    site.answers = {f"/{name}": body for name, body in answers.items()}
    try:
        yield site
    finally:
        await site.stop()


async def test_a_job_is_completed_with_its_output(bench):
    bench.start()
    job = await bench.ended(await bench.submit(seed=9))
    assert job.status is JobStatus.COMPLETED
    assert opened(bench, job).getpixel((0, 0)) == (9, 0, 0)
    output = job.outputs[0]
    assert (output.content_type, output.width, output.height) == ("image/png", 16, 16)
    assert output.size_bytes == bench.files.path(output.file_id).stat().st_size
    record = await bench.store.file(output.file_id)
    assert (record.account_id, record.job_id) == (OWNER_ID, job.id)


async def test_the_report_says_how_it_came_about(bench):
    bench.start()
    job = await bench.ended(await bench.submit("test/tells", seed=5))
    assert (job.report.seed, job.report.weights) == (5, "nano")
    assert set(job.report.timings) == {"fetch", "load", "generate", "encode", "store"}
    assert all(0 <= seconds < 10 for seconds in job.report.timings.values())
    assert "torch: False" in job.report.notes


async def test_the_output_has_the_format_that_was_asked(bench):
    bench.start()
    job = await bench.ended(await bench.submit(output_format="webp"))
    assert job.outputs[0].content_type == "image/webp"
    assert opened(bench, job).format == "WEBP"


async def test_an_input_image_is_fetched(bench):
    picture = io.BytesIO()
    Image.new("RGB", (7, 5), "green").save(picture, "PNG")
    async with site(picture=answer(picture.getvalue(), content_type="image/png")) as origin:
        bench.allow(origin)
        bench.start()
        job = await bench.ended(await bench.submit("test/echo", image_url=origin.url("/picture")))
    assert opened(bench, job).size == (7, 5)


async def test_an_image_that_cannot_be_fetched_fails_its_job(bench):
    async with site(picture=answer(status="404 Not Found")) as origin:
        bench.allow(origin)
        bench.start()
        job = await bench.ended(await bench.submit("test/echo", image_url=origin.url("/picture")))
    assert (job.status, job.error.code) == (JobStatus.FAILED, "fetch_failed")


async def test_a_private_address_fails_its_job(bench):
    bench.start()
    job = await bench.ended(await bench.submit("test/echo", image_url="https://127.0.0.1/x.png"))
    assert job.error.code == "url_not_allowed"


async def stored_picture(bench, account_id):
    picture = io.BytesIO()
    Image.new("RGB", (9, 4), "green").save(picture, "PNG")
    data = picture.getvalue()
    file = StoredFile(new_id(), account_id, "image/png", len(data), datetime.now(UTC), None)
    await bench.files.put(file.id, data)
    return file


async def test_a_stored_input_is_read_from_storage(bench):
    file = await stored_picture(bench, OWNER_ID)
    await bench.store.add_file(file)
    bench.start()
    job = await bench.ended(await bench.submit("test/echo", image_url=f"file:{file.id}"))
    assert opened(bench, job).size == (9, 4)


@pytest.mark.parametrize("whose", ["nobody's", "another's", "deleted"])
async def test_a_file_that_is_not_the_accounts_own_is_gone(bench, whose, monkeypatch):
    file = await stored_picture(bench, "somebody" if whose == "another's" else OWNER_ID)
    if whose != "nobody's":

        async def record(file_id):
            return file

        monkeypatch.setattr(bench.store, "file", record)
    if whose == "deleted":
        await bench.files.delete(file.id)
    bench.start()
    job = await bench.ended(await bench.submit("test/echo", image_url=f"file:{file.id}"))
    assert job.error.code == "fetch_failed"


async def test_a_job_of_a_failing_model_fails_without_details(bench):
    bench.start()
    job = await bench.ended(await bench.submit("test/raises"))
    assert (job.status, job.error.code, job.attempt) == (JobStatus.FAILED, "internal_error", 1)
    assert "secret" not in job.error.message


@pytest.mark.parametrize("model", ["test/kills-itself", "test/hangs"])
async def test_a_job_that_kills_its_child_has_three_attempts(bench, model):
    bench.start()
    poison = await bench.submit(model)
    neighbours = [await bench.submit(seed=seed) for seed in range(3)]
    assert [(await bench.ended(job_id)).status for job_id in neighbours] == [JobStatus.COMPLETED] * 3
    job = await bench.ended(poison)
    assert (job.status, job.error.code, job.attempt) == (JobStatus.FAILED, "worker_lost", 3)
    assert bench.store.calls.count(("claim", poison)) == 3


@pytest.mark.parametrize("model", ["test/raises", "test/kills-itself"])
async def test_a_failure_speaks_the_language_of_its_request(bench, model):
    bench.start()
    job = await bench.ended(await bench.submit(model, language=Language.KO))
    assert job.error.message in {InternalError.ko, WorkerLost.ko}


async def test_a_job_survives_the_death_of_its_child(bench):
    bench.start()
    job_id = await bench.submit("test/slow", num_inference_steps=8)
    await bench.running(job_id)
    os.killpg(bench.child.pid, signal.SIGKILL)
    job = await bench.ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)


async def test_an_idle_child_that_dies_costs_no_attempt(bench):
    bench.start()
    await bench.ended(await bench.submit())
    os.killpg(bench.child.pid, signal.SIGKILL)
    job = await bench.ended(await bench.submit())
    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 1)


async def test_the_next_job_is_claimed_and_fetched_while_one_runs(bench):
    picture = io.BytesIO()
    Image.new("RGB", (7, 5)).save(picture, "PNG")
    async with site(picture=answer(picture.getvalue(), content_type="image/png")) as origin:
        bench.allow(origin)
        bench.start()
        first = await bench.submit("test/slow", num_inference_steps=8)
        second = await bench.submit("test/echo", image_url=origin.url("/picture"))
        third = await bench.submit()
        await bench.ended(second)
        await bench.ended(third)
    calls = bench.store.calls
    assert calls.index(("claim", second)) < calls.index(("complete", first))
    # At most one is ahead: the third was not claimed before the second went into the child.
    assert calls.index(("claim", third)) > calls.index(("claim", second))
    assert origin.paths == ["/picture"]


async def test_the_next_jobs_image_is_decoded_while_one_runs(bench):
    file = await stored_picture(bench, OWNER_ID)
    await bench.store.add_file(file)
    bench.equip(decoder=Decoder())
    bench.start()
    first = await bench.submit("test/slow", num_inference_steps=900)
    await bench.submit("test/echo", image_url=f"file:{file.id}")
    async with asyncio.timeout(20):
        while not list(bench.scratch.glob("*/image_url.0.rgb")):
            await asyncio.sleep(0.02)
    assert (await bench.get(first)).status is JobStatus.IN_PROGRESS
    await bench.stop(at_once=True)
    assert bench.equipment.decoder.pid is None


async def test_an_image_that_kills_its_decoder_has_three_attempts_and_spends_nobody_elses(bench):
    file = await stored_picture(bench, OWNER_ID)
    await bench.store.add_file(file)
    Image.new("1", (8000, 8000)).save(bench.files.path(file.id), "PNG")
    bench.equip(decoder=Decoder(Patience(decode_s=0.01)))
    bench.start()
    drawn = await bench.submit("test/slow", num_inference_steps=900)
    await bench.running(drawn)
    poison = await bench.ended(await bench.submit("test/echo", image_url=f"file:{file.id}"))
    assert (poison.status, poison.error.code, poison.attempt) == (JobStatus.FAILED, "worker_lost", 3)
    assert (await bench.ended(await bench.submit("test/echo", image_url="https://127.0.0.1/x"))).error
    running = await bench.get(drawn)
    assert (running.status, running.attempt) == (JobStatus.IN_PROGRESS, 1)


async def test_no_more_than_one_job_is_held_beside_the_running_one(bench):
    bench.start()
    jobs = [await bench.submit("test/slow", num_inference_steps=5) for _ in range(4)]
    await bench.running(jobs[0])
    states = [(await bench.get(job_id)).status for job_id in jobs]
    assert states == [JobStatus.IN_PROGRESS] * 2 + [JobStatus.IN_QUEUE] * 2


async def test_heartbeats_carry_progress(bench):
    bench.start()
    job_id = await bench.submit("test/slow", num_inference_steps=10)
    job = await bench.until(job_id, lambda job: job.progress is not None and job.progress.step > 2)
    assert job.progress.steps == 10
    assert bench.store.beats[-1][job_id] == (1, bench.store.beats[-1][job_id][1])
    assert isinstance(bench.store.beats[-1][job_id][1], Progress)


async def test_a_lost_job_is_dropped_and_its_run_stopped(bench):
    bench.start()
    job_id = await bench.submit("test/slow", num_inference_steps=300)
    await bench.running(job_id)
    pid = bench.child.pid
    for seen in await bench.store.in_progress():
        await bench.store.requeue_lost(*seen)
    # Another worker takes it; this one goes on with other work on the same child.
    taken = await Store.claim(bench.store, "another", ["test/slow"]) or await bench.get(job_id)
    other = await bench.ended(await bench.submit())
    assert other.status is JobStatus.COMPLETED
    assert bench.child.pid == pid
    assert taken.id == job_id
    assert ("release", job_id) not in bench.store.calls
    assert ("lose_attempt", job_id) not in bench.store.calls


async def test_a_running_job_is_cancelled_on_request(bench):
    bench.start()
    job_id = await bench.submit("test/slow", num_inference_steps=1000)
    await bench.running(job_id)
    pid = bench.child.pid
    assert (await bench.store.stop(job_id, OWNER_ID)).status is JobStatus.IN_PROGRESS
    job = await bench.ended(job_id)
    assert (job.status, job.error, job.outputs) == (JobStatus.CANCELLED, None, ())
    assert (await bench.ended(await bench.submit())).status is JobStatus.COMPLETED
    assert bench.child.pid == pid


async def test_what_is_cancelled_while_its_output_is_stored_leaves_no_output(bench, monkeypatch):
    bench.start()
    storing, go_on = asyncio.Event(), asyncio.Event()
    put = bench.files.put

    async def slow_put(name, data):
        await put(name, data)
        storing.set()
        await go_on.wait()

    monkeypatch.setattr(bench.files, "put", slow_put)
    job_id = await bench.submit()
    await storing.wait()
    await bench.store.stop(job_id, OWNER_ID)
    go_on.set()
    job = await bench.ended(job_id)
    assert (job.status, job.outputs) == (JobStatus.CANCELLED, ())
    await bench.stop()
    assert not [path for path in bench.files.folder.rglob("*") if path.is_file()]


async def test_a_job_whose_model_does_not_stop_is_cancelled_all_the_same(bench):
    bench.start()
    job_id = await bench.submit("test/ignores-stop")
    await bench.running(job_id)
    await bench.store.stop(job_id, OWNER_ID)
    assert (await bench.ended(job_id)).status is JobStatus.CANCELLED


async def test_the_database_may_go_away(bench):
    bench.start()
    job_id = await bench.submit("test/slow", num_inference_steps=5)
    await bench.running(job_id)
    bench.store.away = True
    await asyncio.sleep(1)
    bench.store.away = False
    job = await bench.ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 1)
    assert (await bench.ended(await bench.submit())).status is JobStatus.COMPLETED


async def test_the_databases_disk_may_be_full(bench, monkeypatch):
    complete, refusals = bench.store.complete, iter([StorageFull(), StorageFull()])

    async def refused(*arguments):
        if error := next(refusals, None):
            raise error
        return await complete(*arguments)

    monkeypatch.setattr(bench.store, "complete", refused)
    bench.start()
    job = await bench.ended(await bench.submit())
    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 1)
    assert ("release", job.id) not in bench.store.calls


async def test_an_answer_to_complete_may_get_lost(bench):
    bench.store.lose_next_answer = True
    bench.start()
    job = await bench.ended(await bench.submit())
    async with asyncio.timeout(5):
        while bench.store.calls.count(("complete", job.id)) < 2:
            await asyncio.sleep(0.02)
    await bench.ended(await bench.submit())
    assert opened(bench, job).size == (16, 16)


async def test_the_output_of_a_job_that_is_no_longer_ours_is_deleted(bench, monkeypatch):
    async def refused(*arguments):
        bench.store.calls.append(("complete", arguments[0].id))
        return False

    monkeypatch.setattr(bench.store, "complete", refused)
    bench.start()
    job_id = await bench.submit()
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            while not any(entry["event"] == "output_dropped" for entry in logs):
                await asyncio.sleep(0.02)
        await bench.stop()
    assert ("complete", job_id) in bench.store.calls
    assert [path for path in bench.files.folder.rglob("*") if path.is_file()] == []


async def test_a_full_disk_gives_the_job_back_for_later(bench):
    bench.files.full = 4
    bench.start()
    job = await bench.ended(await bench.submit())
    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 1)
    assert bench.store.calls.count(("release", job.id)) == 4


async def test_a_full_disk_under_the_child_gives_the_job_back(bench):
    bench.start()
    job_id = await bench.submit("test/fills-disk")
    async with asyncio.timeout(10):
        while ("release", job_id) not in bench.store.calls:
            await asyncio.sleep(0.02)
    assert (await bench.get(job_id)).error is None


async def test_stop_lets_the_running_job_finish_and_gives_the_prepared_one_back(bench):
    bench.start()
    first = await bench.submit("test/slow", num_inference_steps=8)
    second = await bench.submit("test/slow", num_inference_steps=8)
    await bench.running(first)
    await bench.stop()
    assert (await bench.get(first)).status is JobStatus.COMPLETED
    left = await bench.get(second)
    assert (left.status, left.attempt) == (JobStatus.IN_QUEUE, 0)
    assert bench.child.pid is None


@pytest.mark.parametrize("model", ["test/slow", "test/hangs"])
async def test_stop_has_a_bound_and_spends_no_attempt(bench, model):
    bench.child = Child(Setup("cpu", str(MODELS)), Patience(step_s=60, stop_s=0.5))
    bench.start(Pace(heartbeat_s=0.1, poll_s=0.5, drain_s=1, rest_s=0.2))
    job_id = await bench.submit(model, num_inference_steps=900)
    await bench.running(job_id)
    async with asyncio.timeout(5):
        await bench.stop()
    job = await bench.get(job_id)
    assert (job.status, job.attempt) == (JobStatus.IN_QUEUE, 0)


async def test_stop_ends_while_the_database_is_away(bench):
    bench.start(Pace(heartbeat_s=0.1, poll_s=0.5, drain_s=2, rest_s=0.2))
    job_id = await bench.submit("test/slow", num_inference_steps=8)
    await bench.running(job_id)
    bench.store.away = True
    async with asyncio.timeout(10):
        await bench.stop()
    assert (await bench.get(job_id)).status is JobStatus.IN_PROGRESS


async def test_a_child_that_cannot_start_leaves_the_jobs_in_the_queue(bench, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.py").write_text("raise RuntimeError('no')")
    bench.child = Child(Setup("cpu", str(broken)), IMPATIENT)
    bench.start()
    job_id = await bench.submit()
    await asyncio.sleep(1)
    job = await bench.get(job_id)
    assert (job.status, job.attempt) == (JobStatus.IN_QUEUE, 0)


async def test_nothing_of_an_input_is_logged(bench, monkeypatch):
    async def breaks(*arguments):
        raise KeyError(arguments[0].job.input["prompt"])

    with capture_logs() as logs:
        bench.start()
        await bench.ended(await bench.submit("test/raises", prompt="a xylophone"))
        await bench.ended(await bench.submit("test/kills-itself", prompt="a xylophone"))
        monkeypatch.setattr(running, "fetch_images", breaks)
        job = await bench.ended(await bench.submit(prompt="a xylophone"))
        await bench.stop()
    assert job.error.code == "internal_error"
    assert "attempt_broke" in str(logs)
    assert "xylophone" not in str(logs)


def test_backoff_grows_to_its_bound():
    delays = backoff(longest_s=3)
    assert [next(delays) for _ in range(5)] == [0.5, 1.0, 2.0, 3, 3]


async def test_jobs_of_a_model_in_memory_go_first_but_not_for_ever(bench):
    jobs = [await bench.submit("test/slow", num_inference_steps=1)]
    for _ in range(20):
        jobs += [await bench.submit(), await bench.submit("test/prints")]
    bench.start()
    for job_id in jobs:
        await bench.ended(job_id)
    claims = [job_id for call, job_id in bench.store.calls if call == "claim"]
    models = [(await bench.get(job_id)).model_id for job_id in claims]
    runs = [len(list(group)) for _, group in itertools.groupby(models)]
    # Submitted in turns, they are run in groups; the oldest waits for so many claims and no more.
    assert max(runs) > 5
    waited = 0
    for number, job_id in enumerate(claims):
        oldest = next(job for job in jobs if job not in claims[:number])
        waited = 0 if job_id == oldest else waited + 1
        assert waited <= MAX_OVERTAKING


async def test_a_child_that_died_is_not_thought_to_hold_models(bench):
    bench.start()
    await bench.ended(await bench.submit())
    assert bench.child.resident == {"test/instant"}
    os.killpg(bench.child.pid, signal.SIGKILL)
    await bench.ended(await bench.submit("test/prints"))
    assert bench.child.resident == {"test/prints"}


@pytest.mark.parametrize("model", ["test/breaks-device-once", "test/hangs-once"])
async def test_a_job_whose_device_broke_or_hung_runs_again_on_a_new_child(bench, tmp_path, model):
    bench.start()
    job = await bench.ended(await bench.submit(model, prompt=str(tmp_path / "broken")))
    assert job.status is JobStatus.COMPLETED
    assert job.attempt > 1
