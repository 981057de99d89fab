from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from safelight.accounts.accounts import OWNER_ID
from safelight.db.database import Database
from safelight.db.tables import jobs
from safelight.images.previews import data_uri
from safelight.jobs import (
    MAX_ATTEMPTS,
    Job,
    JobError,
    JobStatus,
    Output,
    Preview,
    Progress,
    Report,
)
from safelight.queue.store import Lease, Store
from safelight.queue.turns import Turn
from tests.jobs import MODEL, NoWaker, new_file, new_job

REPORT = Report(
    seed=7, weights="nano", timings={"generate": 1.5}, notes=("the negative prompt had no effect",)
)
IN_QUEUE = JobStatus.IN_QUEUE
ERROR = JobError("corrupt_image", "The image is damaged or cut off.")


async def claimed(store: Store, worker_id: str = "worker", **changes: object) -> Job:
    await store.add(new_job(**changes))
    job = await store.claim(worker_id, [MODEL])
    assert job
    return job


async def standing(store: Store, job: Job) -> tuple[JobStatus, int | None]:
    found = await store.standing(job.id, job.account_id)
    assert found
    return found.status, found.ahead


async def now_is(store: Store, job: Job) -> Job:
    found = await store.get(job.id, job.account_id)
    assert found
    return found


# --- For the API ---


async def test_a_job_is_read_back_as_it_was_added(store):
    job = new_job(
        input={"prompt": "빨간 원 \ud800 \u0000", "loras": [], "seed": 2**53 - 1},
        cost=Decimal("0.0025"),
        deadline_at=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    )
    await store.add(job)
    assert await now_is(store, job) == job


async def test_times_of_other_zones_are_the_same_moment(store):
    when = datetime.fromisoformat("2026-01-01T09:00:00+09:00")
    job = new_job(created_at=when)
    await store.add(job)
    assert (await now_is(store, job)).created_at == when
    assert str((await now_is(store, job)).created_at.tzinfo) == "UTC"


async def test_a_time_without_a_zone_is_refused(store):
    with pytest.raises(ValueError, match="time zone"):
        await store.add(new_job(created_at=datetime(2026, 1, 1)))


async def test_an_unknown_job_and_another_accounts_look_alike(store):
    job = new_job()
    await store.add(job)
    assert await store.get(job.id, "somebody else") is None
    assert await store.get("unknown", OWNER_ID) is None


async def test_a_job_of_an_unknown_account_is_refused(store):
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await store.add(new_job(account_id="nobody"))


async def test_an_id_is_taken_once(store):
    job = new_job()
    await store.add(job)
    with pytest.raises(Exception, match=r"(?i)unique|exists"):
        await store.add(replace(job, model_id="another/model"))
    assert await now_is(store, job) == job


async def test_files_come_with_their_job_or_not_at_all(store):
    job = new_job()
    file = new_file(job_id=job.id)
    await store.add(job, [file])
    assert await store.file(file.id) == file
    second = new_job()
    with pytest.raises(Exception, match=r"(?i)unique"):
        await store.add(second, [new_file(job_id=second.id), file])
    assert await store.get(second.id, OWNER_ID) is None


async def test_an_upload_belongs_to_no_job(store):
    file = new_file()
    await store.add_file(file)
    assert await store.file(file.id) == file
    assert await store.file("unknown") is None


async def test_the_position_counts_the_queued_jobs_ahead(store):
    added = [new_job() for _ in range(4)]
    for job in added:
        await store.add(job)
    assert [await standing(store, job) for job in added] == [(IN_QUEUE, n) for n in range(4)]
    await store.claim("worker", [MODEL])
    await store.cancel(added[2].id, OWNER_ID)
    assert [await standing(store, job) for job in added] == [
        (JobStatus.IN_PROGRESS, None),
        (IN_QUEUE, 0),
        (JobStatus.CANCELLED, None),
        (IN_QUEUE, 1),
    ]


async def test_the_standing_of_another_accounts_job_is_nobodys_business(store):
    job = new_job()
    await store.add(job)
    assert await store.standing(job.id, "somebody else") is None
    assert await store.standing("unknown", OWNER_ID) is None


async def test_only_a_queued_job_is_cancelled(store):
    queued = new_job()
    await store.add(queued)
    cancelled = await store.cancel(queued.id, OWNER_ID)
    assert cancelled.status is JobStatus.CANCELLED
    assert cancelled.finished_at
    assert await store.cancel(queued.id, OWNER_ID) == cancelled
    assert await store.claim("worker", [MODEL]) is None

    running = await claimed(store)
    assert await store.cancel(running.id, OWNER_ID) == running
    assert await store.complete(running, [], [], REPORT)
    assert (await store.cancel(running.id, OWNER_ID)).status is JobStatus.COMPLETED


async def test_nobody_cancels_what_is_not_his(store):
    job = new_job()
    await store.add(job)
    assert await store.cancel(job.id, "somebody else") is None
    assert await store.cancel("unknown", OWNER_ID) is None
    assert await now_is(store, job) == job


async def test_a_queued_job_is_stopped_at_once(store):
    job = new_job()
    await store.add(job)
    stopped = await store.stop(job.id, OWNER_ID)
    assert (stopped.status, stopped.finished_at is not None) == (JobStatus.CANCELLED, True)
    assert await store.stop(job.id, OWNER_ID) == stopped


async def complete(store, job):
    return await store.complete(job, [new_file(job_id=job.id)], [], REPORT)


async def fail(store, job):
    return await store.fail(job, ERROR)


async def release(store, job):
    return await store.release(job)


async def lose_attempt(store, job):
    return await store.lose_attempt(job)


async def lose_silently(store, job):
    return await store.requeue_lost(job.id, job.attempt, 1)


@pytest.mark.parametrize("by_deadline", [False, True])
@pytest.mark.parametrize("report", [complete, fail, release, lose_attempt, lose_silently])
async def test_a_running_job_that_was_stopped_ends_cancelled_whatever_its_worker_says(
    store, report, by_deadline
):
    job = await claimed(store)
    if by_deadline:
        assert await store.overdue(job.id) is JobStatus.IN_PROGRESS
    else:
        assert (await store.stop(job.id, OWNER_ID)).cancel_requested
    await report(store, job)
    if report is complete:
        assert not (await now_is(store, job)).status.is_final
        assert await store.end_stopped(job)
    ended = await now_is(store, job)
    assert (ended.status, ended.outputs) == (JobStatus.CANCELLED, ())
    assert (ended.error and ended.error.code) == ("deadline_exceeded" if by_deadline else None)
    assert ended.finished_at
    assert await store.claim("worker", [MODEL]) is None


async def test_a_job_that_nobody_stopped_is_not_ended_so(store):
    job = await claimed(store)
    assert not await store.end_stopped(job)
    assert await now_is(store, job) == job


async def test_what_has_ended_is_neither_stopped_nor_overdue(store):
    job = await claimed(store)
    await store.fail(job, ERROR)
    ended = await now_is(store, job)
    assert await store.stop(job.id, OWNER_ID) == ended
    assert await store.overdue(job.id) is None
    assert await now_is(store, job) == ended


async def test_nobody_stops_what_is_not_his(store):
    job = await claimed(store)
    assert await store.stop(job.id, "somebody else") is None
    assert await now_is(store, job) == job


# --- For workers ---


async def test_jobs_are_claimed_in_the_order_they_came(store):
    added = [new_job(created_at=datetime.now(UTC) - timedelta(hours=n)) for n in range(5)]
    for job in added:
        await store.add(job)
    found = [await store.claim("worker", [MODEL]) for _ in added]
    assert [job.id for job in found] == [job.id for job in added]


async def test_a_claim_says_who_and_when(store):
    before = datetime.now(UTC)
    job = await claimed(store, "worker-1")
    assert (job.status, job.attempt, job.worker_id) == (JobStatus.IN_PROGRESS, 1, "worker-1")
    assert before <= job.started_at <= datetime.now(UTC)
    assert job.started_at == job.heartbeat_at
    assert await now_is(store, job) == job


async def test_a_worker_claims_only_what_it_can_run(store):
    other, mine = new_job(model_id="a/large"), new_job(model_id="a/small")
    await store.add(other)
    await store.add(mine)
    assert await store.claim("worker", ["another/one"]) is None
    assert await store.claim("worker", []) is None
    assert (await store.claim("worker", ["a/small", "another/one"])).id == mine.id
    assert (await store.claim("worker", ["a/small", "a/large"])).id == other.id


async def test_a_completed_job_has_its_outputs(store):
    job = await claimed(store)
    file = new_file(job_id=job.id)
    shown = Output(file.id, "image/png", 1024, 768, file.size_bytes)
    assert await store.complete(job, [file], [shown], REPORT)
    done = await now_is(store, job)
    assert (done.status, done.outputs, done.report) == (JobStatus.COMPLETED, (shown,), REPORT)
    assert done.finished_at >= done.started_at
    assert await store.file(file.id) == file


async def test_a_failed_job_says_why(store):
    job = await claimed(store)
    assert await store.fail(job, ERROR)
    failed = await now_is(store, job)
    assert (failed.status, failed.error) == (JobStatus.FAILED, ERROR)
    assert failed.finished_at


async def test_a_released_job_keeps_its_attempts_and_its_place(store):
    job = await claimed(store)
    await store.add(new_job())
    await store.heartbeat("worker", {job.id: (1, Progress(3, 8))})
    assert await store.release(job)
    queued = await now_is(store, job)
    assert (queued.status, queued.attempt, queued.worker_id) == (JobStatus.IN_QUEUE, 0, None)
    assert (queued.progress, queued.started_at) == (None, None)
    assert (await store.claim("another", [MODEL])).id == job.id


async def test_a_poison_job_ends_after_its_last_attempt(store):
    job = await claimed(store)
    for attempt in range(1, MAX_ATTEMPTS):
        assert job.attempt == attempt
        assert await store.lose_attempt(job) is JobStatus.IN_QUEUE
        job = await store.claim("worker", [MODEL])
    assert await store.lose_attempt(job) is JobStatus.FAILED
    ended = await now_is(store, job)
    assert ended.error.code == "worker_lost"
    assert (ended.attempt, ended.worker_id) == (MAX_ATTEMPTS, "worker")
    assert ended.finished_at
    assert await store.claim("worker", [MODEL]) is None


async def test_a_heartbeat_renews_and_reports(store):
    job = await claimed(store)
    [(_, _, before)] = await store.in_progress()
    assert await store.heartbeat("worker", {job.id: (1, Progress(3, 8))}) == {job.id: Lease.HELD}
    assert (await now_is(store, job)).progress == Progress(3, 8)
    assert await store.heartbeat("worker", {job.id: (1, None)}) == {job.id: Lease.HELD}
    assert (await now_is(store, job)).progress == Progress(3, 8)
    assert await store.in_progress() == [(job.id, 1, before + 2)]


async def test_a_heartbeat_keeps_the_newest_preview_until_the_job_ends(store):
    job = await claimed(store)
    for colour in (b"\xff\0\0", b"\0\xff\0"):
        preview = Preview(16, 8, colour * 128)
        await store.heartbeat("worker", {job.id: (1, Progress(3, 8, preview))})
        await store.heartbeat("worker", {job.id: (1, None)})
        assert (await now_is(store, job)).preview == data_uri(preview)
    await store.fail(job, ERROR)
    assert (await now_is(store, job)).preview is None


async def test_a_job_that_goes_back_to_the_queue_has_no_preview(store):
    job = await claimed(store)
    await store.heartbeat("worker", {job.id: (1, Progress(3, 8, Preview(1, 1, b"abc")))})
    await store.release(job)
    assert (await now_is(store, job)).preview is None


async def test_a_heartbeat_tells_of_a_wish_to_cancel(store, database):
    job = await claimed(store)
    await database.write(lambda connection: connection.execute(sa.update(jobs).values(cancel_requested=True)))
    assert await store.heartbeat("worker", {job.id: (1, None)}) == {job.id: Lease.CANCEL_REQUESTED}


async def test_a_heartbeat_of_several_jobs_answers_for_each(store):
    first, second = await claimed(store), await claimed(store)
    await store.fail(second, ERROR)
    leases = await store.heartbeat(
        "worker", {first.id: (1, None), second.id: (1, None), "unknown": (1, None)}
    )
    assert leases == {first.id: Lease.HELD, second.id: Lease.LOST, "unknown": Lease.LOST}
    assert await store.heartbeat("worker", {}) == {}


@pytest.mark.parametrize("stale", [{"worker_id": "another"}, {"attempt": 2}, {"id": "unknown"}])
async def test_who_does_not_hold_a_job_changes_nothing(store, stale):
    job = await claimed(store)
    not_ours = replace(job, **stale)
    file = new_file(job_id=job.id)
    assert not await store.complete(not_ours, [file], [], REPORT)
    assert not await store.fail(not_ours, ERROR)
    assert not await store.release(not_ours)
    assert await store.lose_attempt(not_ours) is None
    lease = {not_ours.id: (not_ours.attempt, None)}
    assert await store.heartbeat(not_ours.worker_id, lease) == {not_ours.id: Lease.LOST}
    assert await now_is(store, job) == job
    assert await store.file(file.id) is None


async def test_a_worker_back_from_the_dead_changes_nothing(store):
    job = await claimed(store)
    await store.requeue_lost(*(await store.in_progress())[0])
    again = await store.claim("another", [MODEL])
    assert again.attempt == 2
    assert not await store.complete(job, [new_file(job_id=job.id)], [], REPORT)
    assert await now_is(store, job) == again


async def test_a_finished_job_is_no_longer_its_workers(store):
    job = await claimed(store)
    assert await store.complete(job, [], [], REPORT)
    assert not await store.fail(job, ERROR)
    assert not await store.complete(job, [], [], REPORT)
    assert not await store.release(job)
    assert (await now_is(store, job)).status is JobStatus.COMPLETED


# --- For maintenance ---


async def test_a_silent_job_returns_to_the_queue(store):
    job = await claimed(store)
    [seen] = await store.in_progress()
    assert seen[:2] == (job.id, 1)
    assert await store.requeue_lost(*seen) is JobStatus.IN_QUEUE
    assert (await now_is(store, job)).status is JobStatus.IN_QUEUE
    assert await store.requeue_lost(*seen) is None


async def test_a_job_that_moved_is_left_alone(store):
    job = await claimed(store)
    [seen] = await store.in_progress()
    await store.heartbeat("worker", {job.id: (1, None)})
    assert await store.requeue_lost(*seen) is None
    assert (await now_is(store, job)).status is JobStatus.IN_PROGRESS


async def test_what_was_seen_of_an_attempt_never_fits_a_later_one(store):
    job = await claimed(store)
    [seen] = await store.in_progress()
    await store.release(job)
    await store.claim("worker", [MODEL])  # The same worker, the same attempt.
    assert await store.requeue_lost(*seen) is None


async def test_silence_in_the_last_attempt_fails_the_job(store):
    job = await claimed(store)
    for _ in range(MAX_ATTEMPTS - 1):
        await store.requeue_lost(*(await store.in_progress())[0])
        await store.claim("worker", [MODEL])
    assert await store.requeue_lost(*(await store.in_progress())[0]) is JobStatus.FAILED
    assert (await now_is(store, job)).error.code == "worker_lost"


# --- What the database itself refuses ---


@pytest.fixture
async def ended(store):
    """One job in each final state."""
    completed, failed, cancelled = await claimed(store), await claimed(store), new_job()
    await store.complete(completed, [], [], REPORT)
    await store.fail(failed, ERROR)
    await store.add(cancelled)
    await store.cancel(cancelled.id, OWNER_ID)
    return [await now_is(store, job) for job in (completed, failed, cancelled)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET status = 'in_queue' WHERE id = '{id}'",
        "UPDATE jobs SET error = NULL WHERE id = '{id}'",
        "DELETE FROM jobs WHERE id = '{id}'",
    ],
)
async def test_a_final_state_stays_even_against_raw_sql(store, database, ended, statement):
    for job in ended:
        raw = statement.format(id=job.id)
        with pytest.raises(sa.exc.IntegrityError, match=r"never"):
            await database.write(lambda connection, raw=raw: connection.exec_driver_sql(raw))
        assert await now_is(store, job) == job


@pytest.mark.parametrize("statement", ["DELETE FROM jobs", "UPDATE jobs SET id = 'x'"])
async def test_no_job_is_lost_even_against_raw_sql(store, database, statement):
    job = await claimed(store)
    with pytest.raises(sa.exc.IntegrityError, match=r"never"):
        await database.write(lambda connection: connection.exec_driver_sql(statement))
    assert await now_is(store, job) == job


async def test_no_job_is_replaced_or_truncated(store, database, ended):
    if database.__class__.__name__ == "SqliteDatabase":
        raw = f"INSERT OR REPLACE INTO jobs SELECT * FROM jobs WHERE id = '{ended[0].id}'"
    else:
        raw = "TRUNCATE jobs CASCADE"
    with pytest.raises(sa.exc.IntegrityError):
        await database.write(lambda connection: connection.exec_driver_sql(raw))
    assert await now_is(store, ended[0]) == ended[0]


async def test_an_unknown_state_is_refused(store, database):
    await store.add(new_job())
    with pytest.raises(sa.exc.IntegrityError, match=r"(?i)check"):
        await database.write(lambda connection: connection.execute(sa.update(jobs).values(status="lost")))


# --- Many at once ---


async def at_once(database_url: str, *works: Callable[[Store], Awaitable[None]]) -> None:
    """Run each work in a thread with a loop and connections of its own."""
    start = threading.Barrier(len(works), timeout=10)

    async def run(work: Callable[[Store], Awaitable[None]]) -> None:
        database = await Database.open(database_url)
        start.wait()
        await work(Store(database, NoWaker()))
        await database.close()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(works)) as threads:
        await asyncio.gather(*(loop.run_in_executor(threads, asyncio.run, run(work)) for work in works))


async def breath() -> None:
    """Let the other side win some, too."""
    await asyncio.sleep(random.uniform(0, 0.001))


async def test_eight_claimants_claim_every_job_once(store, database_url):
    added = [new_job() for _ in range(80)]
    await asyncio.gather(*(store.add(job) for job in added))
    taken: list[Job] = []

    async def claim_all(mine: Store) -> None:
        while len(taken) < len(added):
            job = await mine.claim(f"worker-{threading.get_ident()}", [MODEL])
            if job:
                taken.append(job)

    await at_once(database_url, *[claim_all] * 8)
    assert sorted(job.id for job in taken) == sorted(job.id for job in added)
    assert {job.attempt for job in taken} == {1}
    assert len({job.worker_id for job in taken}) > 1


async def test_preferred_models_go_first_each_in_order(store):
    added = [new_job(model_id=name) for name in ("a/cold", "a/warm", "a/other", "a/hot", "a/warm")]
    for job in added:
        await store.add(job)
    cold, warm, other, hot, warm_too = (job.id for job in added)
    models = ["a/cold", "a/warm", "a/hot"]
    turn = Turn(preferred_ids=("a/hot", "a/warm"))
    taken = [await store.claim("worker", models, turn) for _ in range(5)]
    assert [job and job.id for job in taken] == [warm, hot, warm_too, cold, None]
    assert (await store.claim("worker", ["a/other"], Turn(preferred_ids=("a/warm",)))).id == other


async def test_without_a_preference_the_oldest_goes_first(store):
    added = [new_job(model_id=name) for name in ("a/cold", "a/warm")]
    for job in added:
        await store.add(job)
    assert (await store.claim("worker", ["a/warm", "a/cold"])).id == added[0].id


async def test_eight_claimants_with_different_preferences_claim_every_job_once(store, database_url):
    names = ["a/one", "a/two", "a/three"]
    added = [new_job(model_id=names[number % 3]) for number in range(90)]
    await asyncio.gather(*(store.add(job) for job in added))
    taken: list[Job] = []

    def claims(preferred: list[str]) -> Callable[[Store], Awaitable[None]]:
        turn = Turn(preferred_ids=tuple(preferred))

        async def claim_all(mine: Store) -> None:
            while len(taken) < len(added):
                if job := await mine.claim(f"worker-{threading.get_ident()}", names, turn):
                    taken.append(job)

        return claim_all

    await at_once(database_url, *[claims(names[: number % 3]) for number in range(8)])
    assert sorted(job.id for job in taken) == sorted(job.id for job in added)
    assert {job.attempt for job in taken} == {1}


async def test_cancel_and_claim_have_one_winner(store, database_url):
    added = [new_job() for _ in range(300)]
    await asyncio.gather(*(store.add(job) for job in added))
    cancelled, refused, claimed = set(), set(), set()

    async def cancel_all(mine: Store) -> None:
        for job in added:
            found = await mine.cancel(job.id, OWNER_ID)
            if found.status is JobStatus.CANCELLED:
                cancelled.add(job.id)
                await breath()
            else:
                refused.add(job.id)

    async def claim_all(mine: Store) -> None:
        while len(cancelled) + len(refused) < len(added):
            if job := await mine.claim("worker", [MODEL]):
                claimed.add(job.id)
                await breath()

    await at_once(database_url, cancel_all, claim_all)
    assert refused == claimed
    assert cancelled | claimed == {job.id for job in added}
    assert cancelled
    assert claimed
    for job in added:
        assert (await now_is(store, job)).status == (
            JobStatus.CANCELLED if job.id in cancelled else JobStatus.IN_PROGRESS
        )


async def test_complete_and_requeue_have_one_winner(store, database_url):
    running = [await claimed(store) for _ in range(200)]
    seen = await store.in_progress()
    completed, requeued = set(), set()

    async def complete_all(mine: Store) -> None:
        for job in running:
            if await mine.complete(job, [], [], REPORT):
                completed.add(job.id)
                await breath()

    async def requeue_all(mine: Store) -> None:
        for job_id, attempt, heartbeats in sorted(seen, key=lambda row: order[row[0]]):
            if await mine.requeue_lost(job_id, attempt, heartbeats):
                requeued.add(job_id)
                await breath()

    order = {job.id: number for number, job in enumerate(running)}
    await at_once(database_url, complete_all, requeue_all)
    assert completed ^ requeued == set(order)
    assert completed
    assert requeued
    for job in running:
        assert (await now_is(store, job)).status == (JobStatus.COMPLETED if job.id in completed else IN_QUEUE)


async def test_complete_and_stop_have_one_winner(store, database_url):
    running = [await claimed(store) for _ in range(150)]
    completed, stopped = set(), set()

    async def complete_all(mine: Store) -> None:
        for job in running:
            if await mine.complete(job, [new_file(job_id=job.id)], [], REPORT):
                completed.add(job.id)
                await breath()

    async def stop_all(mine: Store) -> None:
        for job in running:
            if (await mine.stop(job.id, OWNER_ID)).cancel_requested:
                stopped.add(job.id)
                await breath()

    await at_once(database_url, complete_all, stop_all)
    assert completed ^ stopped == {job.id for job in running}
    assert completed
    assert stopped
    for job in running:
        assert await store.release(job) is (job.id in stopped)
        ended = JobStatus.COMPLETED if job.id in completed else JobStatus.CANCELLED
        assert (await now_is(store, job)).status == ended
