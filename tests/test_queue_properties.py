"""The queue against a model of it, with workers that die, hang and come back, and a clock that is moved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import count

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from safelight.accounts.accounts import Accounts
from safelight.credits.ledger import Balance, Ledger
from safelight.db.database import Database
from safelight.db.statements import Statement
from safelight.db.tables import jobs
from safelight.jobs import MAX_ATTEMPTS, Job, JobError, JobStatus, Report
from safelight.queue.store import Lease, Store
from safelight.upkeep.maintenance import LEASE_S, Maintenance
from tests.jobs import NoWaker
from tests.money import COST, account_with, submit

REPORT = Report(seed=1, weights="nano", timings={})
CREDITS = Decimal(1)
ERROR = JobError("corrupt_image", "The image is damaged or cut off.")

STATES = Statement(
    sa.select(jobs.c.id, jobs.c.status, jobs.c.attempt, jobs.c.worker_id, jobs.c.finished_at).where(
        jobs.c.model_id == sa.bindparam("model", type_=sa.Text)
    )
)

_examples = count()
workers = st.sampled_from(["w1", "w2", "w3"])
any_one = st.integers(0, 1000)


@dataclass
class Expected:
    """What the model knows of a job."""

    status: JobStatus = JobStatus.IN_QUEUE
    attempt: int = 0
    worker_id: str | None = None
    beats: int = 0
    endings: int = 0
    is_stopped: bool = False

    def end(self, status: JobStatus) -> None:
        self.status = status
        self.endings += 1

    def back_to_queue(self) -> None:
        self.status = JobStatus.IN_QUEUE
        self.worker_id = None

    def lose_attempt(self) -> JobStatus:
        if self.is_stopped:
            self.end(JobStatus.CANCELLED)
        elif self.attempt >= MAX_ATTEMPTS:
            self.end(JobStatus.FAILED)
        else:
            self.back_to_queue()
        return self.status


class QueueMachine(RuleBasedStateMachine):
    """Everything that may happen to jobs, in any order, and to the credits of who pays for them."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self._run = runner.run
        self._database = database
        self._store = Store(database, NoWaker())
        self._model_id = f"model/{next(_examples)}"  # What earlier examples left is not ours.
        self._account = self._run(account_with(database, CREDITS))
        self._expected: dict[str, Expected] = {}
        self._held: list[Job] = []  # What workers believe to hold, rightly or not.
        self._now_s = 0.0
        self._keeper = Maintenance(self._store, lambda: self._now_s)
        self._since: dict[tuple[str, int, int], float] = {}

    # --- What may happen ---

    @rule()
    def submit(self) -> None:
        job = self._run(submit(self._store, self._account, model_id=self._model_id))
        self._expected[job.id] = Expected()

    @precondition(lambda self: self._expected)
    @rule(which=any_one)
    def cancel(self, which: int) -> None:
        job_id, expected = self._pick(which)
        was_queued = expected.status is JobStatus.IN_QUEUE
        if was_queued:
            expected.end(JobStatus.CANCELLED)
        found = self._run(self._store.cancel(job_id, self._account.id))
        assert found.status is expected.status

    @precondition(lambda self: self._expected)
    @rule(which=any_one, by_deadline=st.booleans())
    def stop(self, which: int, by_deadline: bool) -> None:
        job_id, expected = self._pick(which)
        if expected.status is JobStatus.IN_QUEUE:
            expected.end(JobStatus.CANCELLED)
        elif expected.status is JobStatus.IN_PROGRESS:
            expected.is_stopped = True
        if by_deadline:
            self._run(self._store.overdue(job_id))
        else:
            found = self._run(self._store.stop(job_id, self._account.id))
            assert found.status is expected.status

    @rule(worker_id=workers)
    def claim(self, worker_id: str) -> None:
        queued = [i for i, expected in self._expected.items() if expected.status is JobStatus.IN_QUEUE]
        job = self._run(self._store.claim(worker_id, ["another/model", self._model_id]))
        assert (job.id if job else None) == next(iter(queued), None)
        if job:
            expected = self._expected[job.id]
            expected.status, expected.worker_id = JobStatus.IN_PROGRESS, worker_id
            expected.attempt += 1
            expected.beats += 1
            assert (job.attempt, job.worker_id) == (expected.attempt, worker_id)
            self._held.append(job)

    @precondition(lambda self: self._held)
    @rule(which=any_one)
    def heartbeat(self, which: int) -> None:
        job, expected, is_ours = self._pick_held(which)
        found = self._run(self._store.heartbeat(job.worker_id, {job.id: (job.attempt, None)}))
        lease = Lease.CANCEL_REQUESTED if expected.is_stopped else Lease.HELD
        assert found == {job.id: lease if is_ours else Lease.LOST}
        expected.beats += is_ours

    @precondition(lambda self: self._held)
    @rule(which=any_one)
    def complete(self, which: int) -> None:
        job, expected, is_ours = self._pick_held(which)
        is_kept = is_ours and not expected.is_stopped
        assert self._run(self._store.complete(job, [], [], REPORT)) is is_kept
        if is_kept:
            expected.end(JobStatus.COMPLETED)

    @precondition(lambda self: self._held)
    @rule(which=any_one)
    def fail(self, which: int) -> None:
        job, expected, is_ours = self._pick_held(which)
        assert self._run(self._store.fail(job, ERROR)) is is_ours
        if is_ours:
            expected.end(JobStatus.CANCELLED if expected.is_stopped else JobStatus.FAILED)

    @precondition(lambda self: self._held)
    @rule(which=any_one)
    def release(self, which: int) -> None:
        job, expected, is_ours = self._pick_held(which)
        assert self._run(self._store.release(job)) is is_ours
        if is_ours and expected.is_stopped:
            expected.end(JobStatus.CANCELLED)
        elif is_ours:
            expected.back_to_queue()
            expected.attempt -= 1

    @precondition(lambda self: self._held)
    @rule(which=any_one)
    def lose_attempt(self, which: int) -> None:
        job, expected, is_ours = self._pick_held(which)
        found = self._run(self._store.lose_attempt(job))
        assert found == (expected.lose_attempt() if is_ours else None)

    @rule(seconds=st.sampled_from([1.0, LEASE_S / 2, LEASE_S - 0.5, LEASE_S, 10 * LEASE_S]))
    def let_time_pass(self, seconds: float) -> None:
        self._now_s += seconds

    @rule()
    def maintain(self) -> None:
        self._run(self._keeper.tick())
        beats = [(i, e.attempt, e.beats) for i, e in self._running()]
        self._since = {beat: self._since.get(beat, self._now_s) for beat in beats}
        for (job_id, _, _), since in self._since.items():
            if self._now_s - since >= LEASE_S:
                self._expected[job_id].lose_attempt()

    @precondition(lambda self: self._expected)
    @rule(which=any_one, column=st.sampled_from(["status", "error", "worker_id"]))
    def tamper(self, which: int, column: str) -> None:
        job_id, expected = self._pick(which)
        raw = sa.text(f"UPDATE jobs SET {column} = {column} WHERE id = :id")
        self._refused(raw, job_id, is_refused=expected.status.is_final)

    @precondition(lambda self: self._expected)
    @rule(which=any_one)
    def delete(self, which: int) -> None:
        self._refused(sa.text("DELETE FROM jobs WHERE id = :id"), self._pick(which)[0], is_refused=True)

    # --- What must hold ---

    @invariant()
    def the_database_agrees(self) -> None:
        rows = self._run(self._database.rows(STATES, {"model": self._model_id}))
        assert {row.id for row in rows} == set(self._expected)
        for row in rows:
            expected = self._expected[row.id]
            assert (row.status, row.attempt) == (expected.status, expected.attempt)
            assert (row.finished_at is not None) == expected.status.is_final
            if expected.status is JobStatus.IN_PROGRESS:
                assert row.worker_id == expected.worker_id
            assert expected.attempt <= MAX_ATTEMPTS

    @invariant()
    def the_money_is_where_it_belongs(self) -> None:
        under_way = sum(not expected.status.is_final for expected in self._expected.values())
        completed = sum(e.status is JobStatus.COMPLETED for e in self._expected.values())
        found = self._run(Ledger(self._database).balance(self._account.id))
        assert found == Balance(CREDITS - COST * (under_way + completed), COST * under_way)

    def teardown(self) -> None:
        """Whatever happened: a last worker brings every job to its one end."""
        while any(not expected.status.is_final for expected in self._expected.values()):
            self._now_s += LEASE_S
            self.maintain()
            self._now_s += LEASE_S
            self.maintain()
            self.claim("w1")
            if self._held:
                self.complete(len(self._held) - 1)
                self.release(len(self._held) - 1)
        self.the_database_agrees()
        assert self._run(Ledger(self._database).audit()) == []
        assert all(expected.endings == 1 for expected in self._expected.values())

    def _running(self) -> Iterator[tuple[str, Expected]]:
        return ((i, e) for i, e in self._expected.items() if e.status is JobStatus.IN_PROGRESS)

    def _pick(self, which: int) -> tuple[str, Expected]:
        return list(self._expected.items())[which % len(self._expected)]

    def _pick_held(self, which: int) -> tuple[Job, Expected, bool]:
        job = self._held[which % len(self._held)]
        expected = self._expected[job.id]
        holder = (expected.status, expected.worker_id, expected.attempt)
        return job, expected, holder == (JobStatus.IN_PROGRESS, job.worker_id, job.attempt)

    def _refused(self, raw: sa.TextClause, job_id: str, is_refused: bool) -> None:
        work = self._database.write(lambda connection: connection.execute(raw, {"id": job_id}))
        if is_refused:
            with pytest.raises(sa.exc.IntegrityError):
                self._run(work)
        else:
            self._run(work)


def test_the_queue_keeps_its_promises(database_url):
    with asyncio.Runner() as runner:
        database = runner.run(Database.open(database_url))
        runner.run(Accounts(database).ensure_owner("k" * 32))
        try:
            run_state_machine_as_test(
                lambda: QueueMachine(runner, database),
                settings=settings(
                    max_examples=25,
                    stateful_step_count=40,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(database.close())
