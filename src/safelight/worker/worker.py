"""A worker: claim jobs, keep their leases while they are worked on (`running.py`), and drain at the end.

While the child generates, the next job is claimed and its images are fetched, and the outputs of the last one
are encoded and stored. A heartbeat renews the leases of all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from safelight import tracing
from safelight.db.wake import Waker
from safelight.engine.process import ChildNotStarted
from safelight.jobs import Job
from safelight.queue.backoff import backoff, unless
from safelight.queue.store import Lease
from safelight.queue.turns import Turns
from safelight.worker.attempt import Attempt, Ending, Stage
from safelight.worker.running import NOT_NOW, AttemptRunner, Equipment

log = structlog.get_logger(__name__)
T = TypeVar("T")


MAX_ELSEWHERE = 4
"""Jobs of upstreams that a worker waits for at once, beside the one in its child."""


@dataclass(frozen=True)
class Pace:
    """Seconds between heartbeats and between looks at an empty queue, for a drain, to rest after trouble.

    progress_s: how soon after a heartbeat progress may bring the next one forward.
    """

    heartbeat_s: float = 2
    progress_s: float = 0.25
    poll_s: float = 5
    drain_s: float = 25
    rest_s: float = 10


class Worker:
    """Runs the jobs of the models in its catalogue, one after the other, on one child."""

    def __init__(
        self,
        worker_id: str,
        equipment: Equipment,
        *,
        waker: Waker,
        scratch: Path,
        pace: Pace | None = None,
    ) -> None:
        """scratch: a folder of its own, in which every attempt has one."""
        self.id = worker_id
        self._has = equipment
        self._waker = waker
        self._scratch = scratch
        self._pace = pace or Pace()
        self._attempts: set[Attempt] = set()
        self._room = asyncio.Semaphore(1)  # for one attempt that is not yet in the child
        self._turns = Turns()
        self._news = asyncio.Event()
        self._runner = AttemptRunner(equipment, self._news.set)
        self._rest_until_s = 0.0

    @property
    def resident(self) -> frozenset[str]:
        """The ids of the models that are in the child's memory."""
        return self._has.child.resident

    async def run(self, stop: asyncio.Event, at_once: asyncio.Event) -> None:
        """Work until `stop`; then finish what runs within the drain's time, or give it back.

        `at_once` ends the drain: what still runs goes back to the queue.
        """
        log.info("worker_started", worker_id=self.id)
        try:
            async with asyncio.TaskGroup() as group:
                heartbeats = group.create_task(self._keep_leases())
                await self._claim_until(stop, group)
                await self._drain(at_once)
                heartbeats.cancel()
        finally:
            await self._has.child.kill()
            await self._has.decoder.kill()
            log.info("worker_stopped", worker_id=self.id)

    # --- claiming -----------------------------------------------------------------------------------------

    async def _claim_until(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
        delays = backoff()
        while await unless(stop, self._ready_to_claim()):
            try:
                await self._start_children()
                job = await self._claim()
            except (ChildNotStarted, *NOT_NOW) as error:
                log.warning("cannot_claim", worker_id=self.id, reason=str(error))
                self._room.release()
                await unless(stop, asyncio.sleep(next(delays)))
                continue
            delays = backoff()
            if job is not None:
                self._begin(job, group)
            else:
                self._room.release()
                await unless(stop, self._waker.wait(self._pace.poll_s))

    async def _start_children(self) -> None:
        children = (self._has.child, self._has.decoder)
        if all(child.pid for child in children):
            return
        starts = (child.start() for child in children)
        for error in await asyncio.gather(*starts, return_exceptions=True):
            if error is not None:
                raise error

    async def _claim(self) -> Job | None:
        claimable = self._claimable_ids()
        ready = self._has.child.resident | {attempt.job.model_id for attempt in self._attempts}
        turn = self._turns.next(claimable, ready)
        job = await self._has.store.claim(self.id, claimable, turn)
        if job is not None:
            self._turns.note(turn, job)
        return job

    def _claimable_ids(self) -> list[str]:
        """The models whose next job could begin now."""
        waiting = sum(attempt.stage is Stage.ELSEWHERE for attempt in self._attempts)
        known = self._has.catalogue.runnable_ids()
        return [name for name in known if waiting < MAX_ELSEWHERE or name not in self._has.upstreams]

    async def _ready_to_claim(self) -> None:
        """Wait for the child to take the attempt before, and after trouble a while longer."""
        await self._room.acquire()
        await asyncio.sleep(self._rest_until_s - asyncio.get_running_loop().time())

    def _begin(self, job: Job, group: asyncio.TaskGroup) -> None:
        attempt = Attempt(job, self._scratch / f"{job.id}.{job.attempt}", self._room.release)
        self._attempts.add(attempt)
        attempt.task = group.create_task(self._see_through(attempt))

    async def _see_through(self, attempt: Attempt) -> None:
        job = attempt.job
        span = tracing.job_span(
            job.id, "attempt", attempt=job.attempt, worker_id=self.id, model_id=job.model_id
        )
        try:
            with span:
                is_fit = await self._runner.see_through(attempt)
            if not is_fit:
                self._rest_until_s = asyncio.get_running_loop().time() + self._pace.rest_s
        finally:
            attempt.leave_room()
            self._attempts.discard(attempt)
            shutil.rmtree(attempt.folder, ignore_errors=True)

    # --- ending early -------------------------------------------------------------------------------------

    async def _until_heartbeat(self) -> None:
        """Wait until the next heartbeat is due, or there is progress to tell."""
        soonest_s = min(self._pace.progress_s, self._pace.heartbeat_s)
        await asyncio.sleep(soonest_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.heartbeat_s - soonest_s):
                await self._news.wait()
        self._news.clear()

    async def _keep_leases(self) -> None:
        while True:
            await self._until_heartbeat()
            # Of two attempts at one job the newer one is ours; the older one was lost.
            held = {a.job.id: a for a in sorted(self._attempts, key=lambda a: a.job.attempt)}
            if not held:
                continue
            beats = {job_id: (a.job.attempt, a.progress) for job_id, a in held.items()}
            try:
                leases = await self._has.store.heartbeat(self.id, beats)
            except NOT_NOW:
                log.warning("heartbeat_failed", worker_id=self.id)
                continue
            for job_id, lease in leases.items():
                if lease is not Lease.HELD:
                    await self._end(held[job_id], _ENDINGS[lease])

    async def _end(self, attempt: Attempt, why: Ending) -> None:
        """Make an attempt end before it is done; one whose pixels are there is left to finish."""
        if attempt.ending is not None:
            return
        attempt.ending = why
        if attempt.stage in {Stage.PREPARING, Stage.ELSEWHERE} and attempt.task is not None:
            attempt.task.cancel()
        elif attempt.stage is Stage.RUNNING:
            await self._has.child.stop(attempt.name)

    async def _drain(self, at_once: asyncio.Event) -> None:
        """Give back what has not begun, let what runs finish in time, then give that back too."""
        for attempt in [a for a in self._attempts if a.stage is Stage.PREPARING]:
            await self._end(attempt, Ending.DRAINED)
        await unless(at_once, self._all_ended(self._pace.drain_s))
        for attempt in list(self._attempts):
            await self._end(attempt, Ending.DRAINED)
        await self._all_ended(self._pace.drain_s)
        for attempt in self._attempts:
            # The database is away: the leases will run out.
            attempt.ending = Ending.LOST
            assert attempt.task is not None  # noqa: S101 - it has begun
            attempt.task.cancel()

    async def _all_ended(self, limit_s: float) -> None:
        tasks = [attempt.task for attempt in self._attempts if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=limit_s)


_ENDINGS = {Lease.LOST: Ending.LOST, Lease.CANCEL_REQUESTED: Ending.CANCELLED}
