"""A worker: claim a job, fetch its images, generate, encode, store, finish.

While the child generates, the next job is claimed and its images are fetched, and the outputs of the last one
are encoded and stored. A heartbeat renews the leases of all of them. Whatever goes wrong, a job ends once, or
goes back to the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import structlog

from safelight import publish, tracing
from safelight.attempt import Attempt, Ending, Stage
from safelight.engine.parent import Child, ChildDied, ChildNotStarted, RunFailed, RunStopped
from safelight.engine.protocol import Decode, Done, Generate, Size
from safelight.engine.sources import NanoFolders, Pulled, Source
from safelight.errors import InternalError, SafelightError, StorageFull, Unavailable
from safelight.fetch import Fetcher
from safelight.files import FileStore, disk_errors
from safelight.hub.disk import WeightsDisk
from safelight.jobs import Job, JobError, Progress
from safelight.logs import whereabouts
from safelight.lora_library import LoraLibrary
from safelight.models import Catalogue
from safelight.models.base import Model
from safelight.prepare import fetch_images, fetch_loras
from safelight.store import Lease, Store
from safelight.turns import Turns
from safelight.upstream import Order, Upstream
from safelight.waiting import backoff, unless
from safelight.wake import Waker

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
        *,
        store: Store,
        files: FileStore,
        fetcher: Fetcher,
        loras: LoraLibrary,
        catalogue: Catalogue,
        child: Child,
        waker: Waker,
        scratch: Path,
        upstreams: Mapping[str, Upstream] | None = None,
        disk: WeightsDisk | None = None,
        keep_for: timedelta | None = None,
        pace: Pace | None = None,
    ) -> None:
        """upstreams: by model id, what draws for it in place of the child. disk: the real weights, if any.

        keep_for: how long outputs are kept; None: for ever.
        """
        self.id = worker_id
        self._store = store
        self._files = files
        self._fetcher = fetcher
        self._loras = loras
        self._catalogue = catalogue
        self._child = child
        self._waker = waker
        self._scratch = scratch
        self._upstreams = upstreams or {}
        self._disk = disk
        self._keep_for = keep_for
        self._pace = pace or Pace()
        self._attempts: set[Attempt] = set()
        self._room = asyncio.Semaphore(1)  # for one attempt that is not yet in the child
        self._turn = asyncio.Lock()  # the child runs one attempt at a time
        self._publishing = asyncio.Semaphore(2)
        self._turns = Turns()
        self._news = asyncio.Event()
        self._rest_until_s = 0.0

    @property
    def resident(self) -> frozenset[str]:
        """The ids of the models that are in the child's memory."""
        return self._child.resident

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
            await self._child.kill()
            log.info("worker_stopped", worker_id=self.id)

    # --- claiming -----------------------------------------------------------------------------------------

    async def _claim_until(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
        delays = backoff()
        while await unless(stop, self._ready_to_claim()):
            try:
                await self._child.start()
                job = await self._claim()
            except (ChildNotStarted, *_NOT_NOW) as error:
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

    async def _claim(self) -> Job | None:
        claimable = self._claimable_ids()
        ready = self._child.resident | {attempt.job.model_id for attempt in self._attempts}
        turn = self._turns.next(claimable, ready)
        job = await self._store.claim(self.id, claimable, turn)
        if job is not None:
            self._turns.note(turn, job)
        return job

    def _claimable_ids(self) -> list[str]:
        """The models whose next job could begin now."""
        waiting = sum(attempt.stage is Stage.ELSEWHERE for attempt in self._attempts)
        known = self._catalogue.runnable_ids()
        return [name for name in known if waiting < MAX_ELSEWHERE or name not in self._upstreams]

    async def _ready_to_claim(self) -> None:
        """Wait for the child to take the attempt before, and after trouble a while longer."""
        await self._room.acquire()
        await asyncio.sleep(self._rest_until_s - asyncio.get_running_loop().time())

    def _begin(self, job: Job, group: asyncio.TaskGroup) -> None:
        attempt = Attempt(job, self._scratch / f"{job.id}.{job.attempt}")
        self._attempts.add(attempt)
        attempt.task = group.create_task(self._traced(attempt))

    # --- one attempt --------------------------------------------------------------------------------------

    async def _traced(self, attempt: Attempt) -> None:
        job = attempt.job
        with tracing.job_span(
            job.id, "attempt", attempt=job.attempt, worker_id=self.id, model_id=job.model_id
        ):
            await self._attempt(attempt)

    async def _attempt(self, attempt: Attempt) -> None:
        """See one attempt to its end, and tell the store how it ended."""
        job = attempt.job
        try:
            with attempt.under_way():
                await self._work(attempt)
        except (RunStopped, asyncio.CancelledError):
            if attempt.ending is None:
                raise  # the whole worker is being cancelled
            await self._end_early(attempt)
        except ChildDied as error:
            log.warning("child_died", job_id=job.id, attempt=job.attempt, reason=str(error))
            if attempt.ending is None:
                await self._surely(lambda: self._store.lose_attempt(job))
            else:
                await self._end_early(attempt)
        except (ChildNotStarted, *_NOT_NOW) as error:
            log.warning("job_given_back", job_id=job.id, reason=str(error))
            self._rest_until_s = asyncio.get_running_loop().time() + self._pace.rest_s
            await self._surely(lambda: self._store.release(job))
        except (RunFailed, SafelightError) as error:
            await self._fail(job, JobError(error.code, error.text.within(job.language)))
        except Exception as error:
            log.error("attempt_broke", job_id=job.id, **whereabouts(error))
            await self._fail(job, JobError(InternalError.code, InternalError().text.within(job.language)))
        finally:
            self._leave_room(attempt)
            self._attempts.discard(attempt)
            shutil.rmtree(attempt.folder, ignore_errors=True)

    async def _work(self, attempt: Attempt) -> None:
        with attempt.timed("fetch"):
            with disk_errors():
                attempt.folder.mkdir(mode=0o700)
            model = self._catalogue.get(attempt.job.model_id)
            images = await fetch_images(attempt, model.Input, self._store, self._files, self._fetcher)
            loras = await fetch_loras(attempt, model, self._loras, self._weights_of(model))
        job, folder = attempt.job, str(attempt.folder)
        request: Generate | Decode = Generate(attempt.name, job.model_id, job.input, images, folder, loras)
        if upstream := self._upstreams.get(model.id):
            request = await self._draw_elsewhere(attempt, upstream, model, images)
        async with self._turn:
            self._leave_room(attempt)
            done = await self._generate(attempt, request)
            await self._publishing.acquire()
        try:
            await self._publish(attempt, done)
        finally:
            self._publishing.release()

    async def _draw_elsewhere(
        self, attempt: Attempt, upstream: Upstream, model: Model, images: dict[str, list[str]]
    ) -> Decode:
        """Have an upstream draw, beside whatever the child does; what is left to do then is decoding."""
        attempt.stage = Stage.ELSEWHERE
        self._leave_room(attempt)
        job, picture = attempt.job, attempt.folder / "drawn"

        attempt.upstream_task = job.upstream_task

        async def remember(task: str) -> None:
            attempt.upstream_task = task
            await self._surely(lambda: self._store.note_upstream(job, task))

        with attempt.timed("upstream"):
            await upstream.draw(Order(job.input, images, job.upstream_task, remember), picture)
        attempt.drawn_by = upstream.name
        size = model.output_size(model.Input.accepted(job.input))
        assert size is not None  # noqa: S101 - no upstream draws at a size that its input does not say
        return Decode(attempt.name, str(picture), str(attempt.folder), Size(*size))

    async def _generate(self, attempt: Attempt, request: Generate | Decode) -> Done:
        attempt.stage = Stage.RUNNING
        await self._child.start()
        if attempt.ending is not None:
            raise RunStopped
        try:
            with tracing.span("generate"):
                done, attempt.timings["load"] = await self._child.generate(
                    request, lambda progress: self._note(attempt, progress)
                )
                tracing.note(load_s=attempt.timings["load"], generate_s=done.generate_s)
        except RunFailed as error:
            raise StorageFull if error.code == StorageFull.code else error from None
        attempt.timings["generate"] = done.generate_s
        attempt.stage = Stage.FINISHING
        return done

    async def _publish(self, attempt: Attempt, done: Done) -> None:
        outputs = await publish.store_outputs(attempt, done, self._files, self._keep_for)
        stored = publish.records(attempt.job, outputs)
        report = publish.report(attempt, done, self._catalogue.get(attempt.job.model_id))
        kept = await self._surely(lambda: self._store.complete(attempt.job, stored, outputs, report))
        if not kept and not await self._surely(lambda: self._is_recorded(attempt.job, outputs[0].file_id)):
            log.warning("output_dropped", job_id=attempt.job.id, attempt=attempt.job.attempt)
            for output in outputs:
                await self._files.delete(output.file_id)
            await self._surely(lambda: self._store.end_stopped(attempt.job))

    async def _is_recorded(self, job: Job, file_id: str) -> bool:
        """Whether the job is completed with this output: an answer to `complete` may have been lost."""
        found = await self._store.get(job.id, job.account_id)
        return found is not None and any(output.file_id == file_id for output in found.outputs)

    async def _fail(self, job: Job, error: JobError) -> None:
        log.info("job_failed", job_id=job.id, code=error.code)
        tracing.note(code=error.code)
        await self._surely(lambda: self._store.fail(job, error))

    def _weights_of(self, model: Model) -> Source:
        """Where the parts of a model are that draw here."""
        if self._disk is not None and model.id in self._catalogue.real_ids:
            return Pulled(self._disk)
        return NanoFolders()

    def _leave_room(self, attempt: Attempt) -> None:
        if attempt.waits_for_child:
            attempt.waits_for_child = False
            self._room.release()

    # --- ending early -------------------------------------------------------------------------------------

    def _note(self, attempt: Attempt, progress: Progress) -> None:
        attempt.note_progress(progress)
        if progress.step < progress.steps:  # what is about to end tells so itself
            self._news.set()

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
                leases = await self._store.heartbeat(self.id, beats)
            except _NOT_NOW:
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
            await self._child.stop(attempt.name)

    async def _end_early(self, attempt: Attempt) -> None:
        job = attempt.job
        if attempt.ending is Ending.LOST:
            return
        # One that shall be cancelled ends with this.
        await self._surely(lambda: self._store.release(job))
        if attempt.ending is Ending.CANCELLED and attempt.upstream_task:
            await self._upstreams[job.model_id].call_off(attempt.upstream_task)

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

    async def _surely(self, write: Callable[[], Awaitable[T]]) -> T:
        """Ask the store, as often as it takes while the database is away or its disk full."""
        for delay_s in backoff():
            try:
                return await write()
            except _NOT_NOW as error:
                log.warning("database_away", reason=str(error), worker_id=self.id)
                await asyncio.sleep(delay_s)
        raise AssertionError("backoff has no end")


_NOT_NOW = (Unavailable, StorageFull)
_ENDINGS = {Lease.LOST: Ending.LOST, Lease.CANCEL_REQUESTED: Ending.CANCELLED}
