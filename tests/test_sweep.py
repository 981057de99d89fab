"""What is past its time goes, and nothing before: not what is needed, and not because a clock jumped."""

from __future__ import annotations

from datetime import timedelta

import pytest

from safelight.accounts.accounts import OWNER_ID
from safelight.files.files import LocalFiles
from safelight.files.records import BATCH, FileRecords
from safelight.jobs import JobStatus, Report, new_id
from safelight.queue.store import Store
from safelight.queue.webhooks import Webhooks
from safelight.upkeep.sweep import SIGHTINGS, Sweep
from tests.api_server import PNG, running_server
from tests.jobs import MODEL, new_file, new_job
from tests.test_idempotency import Clocks

KEEP = timedelta(days=7)
REPORT = Report(seed=1, weights="nano", timings={})


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def files(tmp_path):
    return LocalFiles(tmp_path / "files")


class Keeper:
    """A sweep by a clock that the test moves, and files for it."""

    def __init__(self, database, waker, files, clock):
        self.store, self.files, self._clock = Store(database, waker, clock), files, clock
        self.records = FileRecords(database, clock)
        self.sweep = Sweep(self.store, self.records, Webhooks(database, clock), files)

    async def stored(self, **changes):
        """A file that is kept for KEEP from now."""
        file = new_file(size_bytes=len(PNG), expires_at=self._clock.now() + KEEP, **changes)
        await self.files.put(file.id, PNG)
        await self.store.add_file(file)
        return file.id

    async def is_there(self, file_id):
        """Whether the bytes are; the record must agree."""
        is_kept = (await self.store.file(file_id)).removed_at is None
        assert self.files.path(file_id).exists() is is_kept
        return is_kept


@pytest.fixture
def keeper(database, waker, files, clocks):
    return Keeper(database, waker, files, clocks.steady())


async def test_a_file_goes_when_its_time_is_over(keeper, clocks):
    file_id = await keeper.stored()
    clocks.elapsed_s += KEEP.total_seconds() - 1
    await keeper.sweep.tick()
    assert await keeper.is_there(file_id)
    clocks.elapsed_s += 2
    await keeper.sweep.tick()
    assert not await keeper.is_there(file_id)


async def test_a_file_without_an_end_stays(keeper, clocks):
    file = new_file()
    await keeper.files.put(file.id, PNG)
    await keeper.store.add_file(file)
    clocks.elapsed_s += 10**9
    await keeper.sweep.tick()
    assert await keeper.is_there(file.id)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1), timedelta(days=365)])
@pytest.mark.parametrize("sign", [1, -1])
async def test_a_jump_of_the_wall_clock_lets_nothing_expire_early(keeper, clocks, jump, sign):
    file_id = await keeper.stored()
    clocks.wall_s += sign * jump.total_seconds()
    await keeper.sweep.tick()
    clocks.elapsed_s += KEEP.total_seconds() - 1
    await keeper.sweep.tick()
    assert await keeper.is_there(file_id)


@pytest.mark.parametrize("scheme", ["file", "holes"])
async def test_what_an_unfinished_job_needs_stays_until_it_has_ended(keeper, clocks, scheme):
    file_id = await keeper.stored()
    await keeper.store.add(
        new_job(input={"image_urls": ["https://example.org/a.png", f"{scheme}:{file_id}"]})
    )
    clocks.elapsed_s += 2 * KEEP.total_seconds()
    await keeper.sweep.tick()
    assert await keeper.is_there(file_id)
    job = await keeper.store.claim("worker", [MODEL])
    await keeper.sweep.tick()
    assert await keeper.is_there(file_id)
    await keeper.store.complete(job, [], [], REPORT)
    await keeper.sweep.tick()
    assert not await keeper.is_there(file_id)


async def test_what_is_needed_does_not_stand_in_the_way_of_the_rest(keeper, clocks):
    needed = [await keeper.stored() for _ in range(BATCH)]
    urls = [f"file:{file_id}" for file_id in needed]
    await keeper.store.add(new_job(input={"image_urls": urls}))
    other = await keeper.stored()
    clocks.elapsed_s += 2 * KEEP.total_seconds()
    await keeper.sweep.tick()
    assert not await keeper.is_there(other)
    assert all([await keeper.is_there(file_id) for file_id in needed])


async def test_a_job_whose_outputs_have_expired_stays_completed(keeper, clocks):
    await keeper.store.add(new_job())
    job = await keeper.store.claim("worker", [MODEL])
    await keeper.store.complete(job, [], [], REPORT)
    output = await keeper.stored(job_id=job.id)
    clocks.elapsed_s += 2 * KEEP.total_seconds()
    await keeper.sweep.tick()
    assert not await keeper.is_there(output)
    assert (await keeper.store.get(job.id, OWNER_ID)).status is JobStatus.COMPLETED


async def test_more_than_a_batch_goes_in_one_sweep(keeper, clocks):
    ids = [await keeper.stored() for _ in range(BATCH + 5)]
    clocks.elapsed_s += 2 * KEEP.total_seconds()
    await keeper.sweep.tick()
    assert not any([await keeper.is_there(file_id) for file_id in ids])


async def test_bytes_without_a_record_go_after_a_day_of_scans(keeper):
    orphan, recorded, removed = new_id(), await keeper.stored(), await keeper.stored()
    await keeper.files.put(orphan, PNG)
    # A crash between giving a file up and deleting it.
    await keeper.records.remove(removed, OWNER_ID)
    for _ in range(SIGHTINGS - 1):
        await keeper.sweep.scan()
    assert keeper.files.path(orphan).exists()
    assert keeper.files.path(removed).exists()
    await keeper.sweep.scan()
    assert not keeper.files.path(orphan).exists()
    assert not keeper.files.path(removed).exists()
    assert keeper.files.path(recorded).exists()


async def test_bytes_that_get_their_record_late_stay(keeper):
    """A worker stored them and could not reach the database for most of a day."""
    late = new_id()
    await keeper.files.put(late, PNG)
    for _ in range(SIGHTINGS - 1):
        await keeper.sweep.scan()
    await keeper.store.add_file(new_file(id=late))
    for _ in range(SIGHTINGS):
        await keeper.sweep.scan()
    assert keeper.files.path(late).exists()


async def test_two_sweeps_at_once_are_safe(keeper, clocks, database, waker, files):
    other = Keeper(database, waker, files, clocks.steady())
    ids = [await keeper.stored() for _ in range(20)]
    clocks.elapsed_s += 2 * KEEP.total_seconds()
    other = Keeper(database, waker, files, keeper._clock)
    await keeper.sweep.tick()
    await other.sweep.tick()
    assert not any([await keeper.is_there(file_id) for file_id in ids])


def test_an_expired_output_is_410_and_its_request_has_succeeded(tmp_path):
    with running_server(tmp_path / "data", retention="1h") as server, server.client() as client:
        url = client.post("/v1/files", content=PNG, headers={"content-type": "image/png"}).json()["url"]
        clocks = Clocks()
        clocks.wall_s += 10**9
        records = FileRecords(server.services.database, clocks.steady())
        known = server.services
        server.do(Sweep(known.store, records, known.webhooks, known.files).tick())
        answer = client.get(url)
        assert (answer.status_code, answer.json()["error_code"]) == (410, 410001)
        assert client.get(url.replace(".png", ".jpg")).status_code == 404
