import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from safelight import devices as machine
from safelight.accounts.accounts import OWNER_ID
from safelight.devices import devices
from safelight.jobs import Job, JobStatus, new_id
from safelight.launch import Workers, worker_environment
from safelight.settings import read_settings
from tests.processes import children_of, until_gone

MODELS = Path(__file__).parent / "models"


@pytest.fixture
def database_url(sqlite_url):
    return sqlite_url


@pytest.fixture
def settings(tmp_path, database_url, database):
    return read_settings(data_dir=tmp_path, database_url=database_url, models_dir=MODELS, device="cpu")


@pytest.fixture
async def workers(settings):
    workers = Workers(settings)
    await workers.start()
    yield workers
    await workers.stop()


async def submit(store, model="test/instant", **values):
    job = Job(new_id(), OWNER_ID, model, values, JobStatus.IN_QUEUE, 0, datetime.now(UTC))
    await store.add(job)
    return job.id


async def until(store, job_id, condition):
    async with asyncio.timeout(30):
        while not condition(job := await store.get(job_id, OWNER_ID)):
            await asyncio.sleep(0.05)
    return job


async def ended(store, job_id):
    return await until(store, job_id, lambda job: job.status.is_final)


async def started(store, job_id):
    return await until(store, job_id, lambda job: job.progress is not None)


def supervisor(settings):
    """A process of its own that supervises a worker, as `serve` does."""
    script = (
        "import asyncio, sys\n"
        "from safelight.launch import Workers\n"
        "from safelight.settings import read_settings\n"
        "async def main():\n"
        "    workers = Workers(read_settings())\n"
        "    await workers.start()\n"
        "    await asyncio.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], env=worker_environment(settings))


async def test_a_worker_process_completes_a_job_and_stops(workers, store):
    job = await ended(store, await submit(store, seed=3))
    assert job.status is JobStatus.COMPLETED
    pids = [
        pid for pid in children_of(os.getpid()) if b"safelight" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(pids) == 3  # the worker and its children
    await workers.stop()
    await until_gone(pids)


async def test_stop_gives_a_running_job_time_to_finish(workers, store):
    job_id = await submit(store, "test/slow", num_inference_steps=30)
    await started(store, job_id)
    await workers.stop()
    assert (await store.get(job_id, OWNER_ID)).status is JobStatus.COMPLETED


async def test_a_worker_that_dies_is_replaced(workers, store):
    job = await ended(store, await submit(store))
    old = int(job.worker_id.split(".")[-2])
    family_of_old = [old, *children_of(old)]
    os.kill(old, signal.SIGKILL)
    job = await ended(store, await submit(store))
    assert job.status is JobStatus.COMPLETED
    assert int(job.worker_id.split(".")[-2]) != old
    await until_gone(family_of_old)


async def test_no_process_outlives_a_killed_supervisor(settings, store):
    process = supervisor(settings)
    try:
        job_id = await submit(store, "test/slow", num_inference_steps=900)
        await started(store, job_id)
        pids = children_of(process.pid)
        assert len(pids) == 3
    finally:
        process.kill()
        process.wait()
    await until_gone(pids)
    job = await store.get(job_id, OWNER_ID)
    assert (job.status, job.attempt) == (JobStatus.IN_QUEUE, 0)


async def test_no_process_outlives_a_killed_supervisor_even_when_a_model_hangs(settings, store):
    process = supervisor(settings)
    try:
        await started(store, await submit(store, "test/hangs-in-c"))
        pids = children_of(process.pid)
    finally:
        process.kill()
        process.wait()
    await until_gone(pids)


async def test_a_worker_started_by_hand_drains_on_sigterm(settings, store):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "safelight", "worker"),
        env=worker_environment(settings),
        stdin=subprocess.DEVNULL,
    )
    try:
        job_id = await submit(store, "test/slow", num_inference_steps=30)
        await started(store, job_id)
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (await store.get(job_id, OWNER_ID)).status is JobStatus.COMPLETED


async def test_a_worker_makes_its_data_folder(tmp_path):
    settings = read_settings(data_dir=tmp_path / "new" / "data", device="cpu")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "safelight", "worker"),
        env=worker_environment(settings),
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            while b"child_ready" not in await process.stderr.readline():
                assert process.returncode is None
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0
    assert settings.files_dir.is_dir()


def test_a_worker_gets_the_settings_but_not_the_owners_key(tmp_path, monkeypatch):
    monkeypatch.setenv("SAFELIGHT_API_KEY", "k" * 40)
    monkeypatch.setenv("SAFELIGHT_DEVICE", "cuda")
    monkeypatch.setenv("SAFELIGHT_HUB_TOKEN", "hf_secret")
    settings = read_settings(data_dir=tmp_path, device="cpu", fetch_allow=("nas:80", "nas:81"))
    environment = worker_environment(settings)
    assert environment["PATH"] == os.environ["PATH"]
    ours = {name: value for name, value in environment.items() if name.startswith("SAFELIGHT_")}
    assert ours == {
        "SAFELIGHT_DATA_DIR": str(tmp_path),
        "SAFELIGHT_WEIGHTS": "auto",
        "SAFELIGHT_DEVICE": "cpu",
        "SAFELIGHT_PRECISION": "bf16",
        "SAFELIGHT_COMPILE": "True",
        "SAFELIGHT_LORA_CACHE_GB": "20.0",
        "SAFELIGHT_HUB_URL": "https://huggingface.co",
        "SAFELIGHT_FETCH_ALLOW": "nas:80,nas:81",
        "SAFELIGHT_RETENTION": "30d",
    }


@pytest.mark.parametrize(
    ("gpus", "visible", "device", "expected"),
    [
        (0, None, "auto", [{}]),
        (2, None, "auto", [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
        (4, "1,3", "auto", [{"CUDA_VISIBLE_DEVICES": "1"}, {"CUDA_VISIBLE_DEVICES": "3"}]),
        (2, "", "auto", [{"CUDA_VISIBLE_DEVICES": ""}]),
        (2, None, "cpu", [{}]),
        (2, None, "cuda:1", [{}]),
    ],
)
def test_every_gpu_has_its_worker(monkeypatch, tmp_path, gpus, visible, device, expected):
    monkeypatch.setattr(machine, "gpu_names", lambda: ["NVIDIA"] * gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices(read_settings(data_dir=tmp_path, device=device)) == expected


def test_workers_may_be_none(tmp_path):
    assert Workers(read_settings(data_dir=tmp_path, workers=0))._environments == []


def test_starting_workers_needs_no_torch():
    script = "import sys, safelight.launch; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
