"""What survives faults survives by its guards: with one of them taken out, its proof is red."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings
from sqlalchemy.sql.visitors import replacement_traverse

from safelight.accounts.accounts import Accounts
from safelight.api import submission
from safelight.db import postgres
from safelight.db.database import Database
from safelight.db.sqlite import sqlite
from safelight.db.statements import Call, Statement
from safelight.db.tables import IN_QUEUE, jobs
from safelight.errors import StorageFull, Unavailable
from safelight.files import files
from safelight.files.files import LocalFiles
from safelight.queue import order, queries, turns
from safelight.queue.rows import job_of
from safelight.queue.store import Store
from safelight.queue.turns import Turns
from safelight.upkeep.maintenance import Maintenance
from safelight.worker import publish, running
from safelight.worker.running import AttemptRunner
from tests import test_api_submission as submissions
from tests import test_counter_proofs as guards
from tests import test_database as databases
from tests import test_files as disks
from tests import test_maintenance as upkeep
from tests import test_order as orders
from tests import test_queue_properties as properties
from tests import test_store as transitions
from tests import test_worker as workers
from tests.jobs import NoWaker
from tests.money import drop_trigger

database = guards.database
bench, ended, queue = workers.bench, transitions.ended, orders.queue
job = upkeep.job
RED = (AssertionError, pytest.fail.Exception)


@pytest.fixture
def database_url(sqlite_url):
    """The guards are the same expressions for both databases, but for those of a claim."""
    return sqlite_url


def without(statement: Statement, condition, instead=None) -> Statement:
    """The same statement with one of its conditions taken out, or another in its place."""
    other = sa.true() if instead is None else instead
    expression = replacement_traverse(
        statement._expression, {}, lambda element, **_: other if element is condition else None
    )
    return Statement(expression, statement._columns)


# --- One end, and no job lost -----------------------------------------------------------------------------


def test_1_an_end_that_does_not_ask_whose_the_job_is(sqlite_url, monkeypatch):
    monkeypatch.setattr(queries, "COMPLETE", without(queries.COMPLETE, queries._ours, queries._this))
    quick = partial(settings, phases=[Phase.generate], derandomize=True, report_multiple_bugs=False)
    monkeypatch.setattr(properties, "settings", quick)
    with pytest.raises((AssertionError, sqlite.IntegrityError)):
        properties.test_the_queue_keeps_its_promises(sqlite_url)


@pytest.mark.parametrize("statement", ["UPDATE jobs SET status = 'in_queue' WHERE id = '{id}'"])
async def test_1_a_table_without_its_trigger(store, database, ended, statement):
    await drop_trigger(database, "jobs_final_update", "jobs")
    with pytest.raises(RED):
        await transitions.test_a_final_state_stays_even_against_raw_sql(store, database, ended, statement)


async def test_2_nobody_who_puts_back_what_a_dead_worker_held(store, job, clock, monkeypatch):
    async def nothing(self, *beat):
        pass

    monkeypatch.setattr(Maintenance, "_requeue", nothing)
    with pytest.raises(AssertionError):
        await upkeep.test_a_lost_job_returns_to_the_queue(store, job, clock)


async def test_2_a_table_whose_rows_can_be_deleted(store, database):
    await drop_trigger(database, "jobs_no_delete", "jobs")
    with pytest.raises(RED):
        await transitions.test_no_job_is_lost_even_against_raw_sql(store, database, "DELETE FROM jobs")


# --- Leases and attempts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["COMPLETE", "FAIL", "RELEASE", "LOSE_OWN", "HEARTBEAT"])
async def test_5_a_report_that_does_not_ask_whose_the_job_is(store, monkeypatch, name):
    monkeypatch.setattr(queries, name, without(getattr(queries, name), queries._ours, queries._this))
    with pytest.raises(AssertionError):
        await transitions.test_who_does_not_hold_a_job_changes_nothing(store, {"worker_id": "another"})


async def test_5_a_worker_that_is_known_by_its_name_alone(store, monkeypatch):
    by_name = sa.and_(queries._this, queries._ours.clauses[-1])
    monkeypatch.setattr(queries, "COMPLETE", without(queries.COMPLETE, queries._ours, by_name))
    with pytest.raises(AssertionError):
        await transitions.test_who_does_not_hold_a_job_changes_nothing(store, {"attempt": 2})


async def test_6_attempts_that_nobody_counts(store, job, clock, monkeypatch):
    for name in ("LOSE_OWN", "LOSE_SILENT"):
        endless = without(getattr(queries, name), queries._spent, sa.false())
        monkeypatch.setattr(queries, name, endless)
    with pytest.raises(AssertionError):
        await upkeep.test_a_job_that_loses_every_worker_fails(store, job, clock)
    await store.cancel(job.id, job.account_id)
    with pytest.raises(AssertionError):
        await transitions.test_a_poison_job_ends_after_its_last_attempt(store)


# --- Two of everything, and nobody starves ----------------------------------------------------------------

_HEAD = Statement(sa.select(jobs.c.seq).where(IN_QUEUE).order_by(jobs.c.seq).limit(1))
_TAKE = Statement(
    sa.update(jobs).where(jobs.c.seq == sa.bindparam("seq")).values(queries._CLAIMED).returning(jobs)
)


async def looks_first_and_takes_later(self, worker_id, model_ids):
    rows = await self._database.rows(_HEAD, {})
    values = {"worker": worker_id, "now": datetime.now(UTC)}
    taken = [await self._database.change(Call(_TAKE, {"seq": row.seq, **values})) for row in rows]
    return job_of(taken[0]) if taken else None


async def test_7_a_claim_of_two_statements(store, database_url, monkeypatch):
    monkeypatch.setattr(Store, "claim", looks_first_and_takes_later)
    with pytest.raises(AssertionError):
        await transitions.test_eight_claimants_claim_every_job_once(store, database_url)


async def test_7_a_claim_that_locks_nothing(postgres_url, monkeypatch):
    monkeypatch.setattr(order, "_oldest", lambda *which: order._by_turns(*which).limit(order._ONE))
    monkeypatch.setattr(queries, "claim", cache(queries.claim.__wrapped__))
    database = await Database.open(postgres_url)
    await Accounts(database).ensure_owner("k" * 32)
    with pytest.raises(AssertionError):
        await transitions.test_eight_claimants_claim_every_job_once(Store(database, NoWaker()), postgres_url)
    await database.close()


async def test_8_a_worker_that_forgets_whose_turn_it_was(queue, database, monkeypatch):
    monkeypatch.setattr(Turns, "note", lambda *arguments: None)
    with pytest.raises(AssertionError):
        await orders.test_every_account_advances_behind_a_flood(queue, database)


async def test_8_models_in_memory_that_go_first_for_ever(queue, database, monkeypatch):
    monkeypatch.setattr(turns, "MAX_OVERTAKING", 10**9)
    with pytest.raises(AssertionError):
        await orders.test_models_in_memory_go_first_and_the_others_are_still_reached(queue, database)


# --- Disks and the database -------------------------------------------------------------------------------


def written_in_place(self, path, data):
    with files.disk_errors():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


async def test_9_a_file_that_is_written_under_its_own_name(tiny_disk, monkeypatch):
    monkeypatch.setattr(LocalFiles, "_put", written_in_place)
    for proof in (
        disks.test_a_full_disk_leaves_no_part_of_a_file,
        disks.test_a_full_disk_keeps_the_file_that_was_there,
    ):
        with pytest.raises(AssertionError):
            await proof(tiny_disk)


def test_9_a_submission_that_does_not_ask_for_room(server, client, monkeypatch):
    monkeypatch.setattr(submission, "RESERVED_BYTES", float("nan"))  # Nothing is less than that.
    with pytest.raises(AssertionError):
        submissions.test_a_full_disk_is_507_before_anything_is_accepted(server, client, monkeypatch)


async def test_9_a_worker_that_takes_a_full_disk_for_the_jobs_fault(bench, monkeypatch):
    monkeypatch.setattr(running, "NOT_NOW", (Unavailable,))
    with pytest.raises(AssertionError):
        await workers.test_a_full_disk_gives_the_job_back_for_later(bench)


async def test_9_a_worker_that_reports_once(bench, monkeypatch):
    async def once(self, write):
        with suppress(StorageFull):
            return await write()

    monkeypatch.setattr(AttemptRunner, "_surely", once)
    monkeypatch.setattr(workers.Bench, "ended", is_let_go)
    with pytest.raises(AssertionError):
        await workers.test_the_databases_disk_may_be_full(bench, monkeypatch)


async def is_let_go(self, job_id):
    """Until a job has ended, or its worker has let go of it."""
    claimed = ("claim", job_id)
    return await self.until(
        job_id,
        lambda job: job.status.is_final or (claimed in self.store.calls and not self.worker._attempts),
    )


async def test_10_what_a_driver_raises_and_nobody_translates(postgres_url, tmp_path, monkeypatch):
    async def bare(work):
        return await work

    monkeypatch.setattr(postgres, "_translated", bare)
    with pytest.raises(postgres.LOST):
        await databases.test_postgres_may_go_away_and_come_back(postgres_url, tmp_path)


async def test_13_a_file_whose_size_nobody_looks_at(tmp_path, monkeypatch):
    def unseen(path, data):
        with files.create_private(path) as file:
            files.write_all(file, data)

    monkeypatch.setattr(files, "write_durably", unseen)
    with pytest.raises(RED):
        await disks.test_a_file_that_came_out_shorter_is_not_accepted(tmp_path, monkeypatch)


async def test_13_outputs_that_are_told_before_they_are_stored(bench, monkeypatch):
    store_outputs = publish.store_outputs

    async def told_first(attempt, done, storage, keep_for):
        return await store_outputs(attempt, done, Forgetful(storage), keep_for)

    monkeypatch.setattr(publish, "store_outputs", told_first)
    with pytest.raises(AssertionError):
        await workers.test_a_full_disk_gives_the_job_back_for_later(bench)


class Forgetful:
    """Storage whose troubles nobody hears of."""

    def __init__(self, storage):
        self._storage = storage

    async def put(self, name, data):
        with suppress(StorageFull):
            await self._storage.put(name, data)


# --- Stopping ---------------------------------------------------------------------------------------------


async def test_14_a_drain_that_waits_for_nothing(bench, monkeypatch):
    monkeypatch.setattr(bench, "stop", partial(bench.stop, at_once=True))
    with pytest.raises(AssertionError):
        await workers.test_stop_lets_the_running_job_finish_and_gives_the_prepared_one_back(bench)


async def test_14_giving_back_that_spends_the_attempt(store, monkeypatch):
    monkeypatch.setattr(Store, "release", Store.lose_attempt)
    with pytest.raises(AssertionError):
        await transitions.test_a_released_job_keeps_its_attempts_and_its_place(store)
