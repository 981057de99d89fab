"""Kill what can be killed, and count the jobs."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from safelight.credits.ledger import Balance, Ledger
from safelight.errors import Unavailable
from safelight.files.files import LocalFiles
from safelight.jobs import JobStatus
from safelight.launch import Workers
from safelight.settings import read_settings
from safelight.upkeep.maintenance import Maintenance
from tests.money import COST, account_with, submit
from tests.processes import children_of, until_gone

SLOW = {"model_id": "test/slow", "input": {"num_inference_steps": 3}}
MODELS = Path(__file__).parent / "models"


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_job_is_lost_whatever_dies(sqlite_url, database, store, tmp_path, seed):
    chance = random.Random(seed)
    settings = read_settings(
        data_dir=tmp_path, database_url=sqlite_url, models_dir=MODELS, device="cpu", workers=2
    )
    # Five times as fast: a lease of 30 s is over after 6 s without a heartbeat.
    maintenance = Maintenance(store, clock=lambda: time.monotonic() * 5)
    workers = Workers(settings)
    await workers.start()
    payer = await account_with(database, 30 * COST)
    try:
        jobs = [await submit(store, payer, **SLOW) for _ in range(30)]
        ended, kills = await asyncio.gather(
            until_all_ended(store, jobs, maintenance), kill_some(chance, store)
        )
    finally:
        await workers.stop()
    assert kills == 4
    files = LocalFiles(settings.files_dir)
    for job in ended:
        assert job.status is JobStatus.COMPLETED or job.error.code == "worker_lost"
        assert job.attempt <= 3
        assert all(files.path(output.file_id).stat().st_size == output.size_bytes for output in job.outputs)
    assert sum(job.status is JobStatus.COMPLETED for job in ended) >= 28
    assert any(job.attempt > 1 for job in ended)
    # The fixture audits the ledger; here it is whether who paid has paid for what was made.
    completed = sum(job.status is JobStatus.COMPLETED for job in ended)
    assert await Ledger(database).balance(payer.id) == Balance((30 - completed) * COST)
    await until_gone(children_of(os.getpid()))


async def test_a_worker_that_lost_its_lease_changes_nothing(sqlite_url, database, store, tmp_path):
    settings = read_settings(
        data_dir=tmp_path, database_url=sqlite_url, models_dir=MODELS, device="cpu", workers=2
    )
    maintenance = Maintenance(store, clock=lambda: time.monotonic() * 5)
    workers = Workers(settings)
    await workers.start()
    payer = await account_with(database, 2 * COST)
    stopped = []
    try:
        job = await submit(store, payer, **SLOW | {"input": {"num_inference_steps": 30}})
        held = await until(store, job, lambda job: job.progress is not None, maintenance)
        sleeper = await stop_worker_of(held, stopped, database)
        again = await until(
            store, job, lambda job: job.attempt == 2 and job.progress is not None, maintenance
        )
        assert again.worker_id != held.worker_id
        # The new holder rests too, so that nobody else can end the job when the old one is awake again.
        holder = await stop_worker_of(again, stopped, database)
        again = await store.get(job.id, job.account_id)
        assert again.status is JobStatus.IN_PROGRESS
        os.kill(sleeper, signal.SIGCONT)
        other = await until(store, await submit(store, payer, **SLOW), lambda job: job.status.is_final)
        assert other.worker_id == held.worker_id
        assert await store.get(job.id, job.account_id) == again
        os.kill(holder, signal.SIGCONT)
        done = await until(store, job, lambda job: job.status.is_final)
        assert (done.attempt, done.status) == (2, JobStatus.COMPLETED)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        await workers.stop()
    assert await store.get(job.id, job.account_id) == done
    stored = {path.name for path in settings.files_dir.rglob("*") if path.is_file()}
    assert stored == {output.file_id for ended_job in [done, other] for output in ended_job.outputs}
    assert await Ledger(database).balance(payer.id) == Balance()


async def stop_worker_of(job, stopped, database):
    """Stop the worker that holds a job, but not while it writes: SQLite has one writer. Returns its pid."""
    stopped.append(int(job.worker_id.split(".")[-2]))
    while True:
        os.kill(stopped[-1], signal.SIGSTOP)
        try:
            await database.write(lambda connection: None)
        except Unavailable:
            os.kill(stopped[-1], signal.SIGCONT)
        else:
            return stopped[-1]


async def until(store, job, condition, maintenance=None):
    async with asyncio.timeout(60):
        while not condition(found := await store.get(job.id, job.account_id)):
            if maintenance:
                await maintenance.tick()
            await asyncio.sleep(0.05)
    return found


@pytest.fixture
def database_url(sqlite_url):
    return sqlite_url


async def kill_some(chance, store):
    """Kill a worker or a child now and then while jobs run. Returns how many were killed."""
    kills = 0
    while kills < 4:
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        processes = [pid for pid in children_of(os.getpid()) if is_ours(pid)]
        if processes and await store.in_progress():
            os.kill(chance.choice(processes), signal.SIGKILL)
            kills += 1
    return kills


def is_ours(pid):
    try:
        return b"safelight" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


async def until_all_ended(store, jobs, maintenance):
    async with asyncio.timeout(90):
        while True:
            await maintenance.tick()
            found = [await store.get(job.id, job.account_id) for job in jobs]
            if all(job.status.is_final for job in found):
                return found
            await asyncio.sleep(0.1)
