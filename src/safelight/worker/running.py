"""One attempt's way: fetch, decode, generate, encode, store; and the one way in which it ends.

Whatever goes wrong, the job ends once, or goes back to the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import structlog

from safelight import tracing
from safelight.engine.decoder import Decoder
from safelight.engine.parent import Child, RunStopped
from safelight.engine.pixels import Size, output_path
from safelight.engine.process import ChildDied, ChildNotStarted, RunFailed
from safelight.engine.protocol import Decode, Done, Generate
from safelight.engine.sources import NanoFolders, Pulled, Source
from safelight.errors import InternalError, SafelightError, StorageFull, Unavailable
from safelight.files.files import FileStore, disk_errors
from safelight.jobs import Job, JobError, Progress
from safelight.logs import whereabouts
from safelight.models import Catalogue
from safelight.models.base import Model
from safelight.network.fetch import Fetcher
from safelight.queue.backoff import backoff
from safelight.queue.store import Store
from safelight.weights.disk import WeightsDisk
from safelight.worker import publish
from safelight.worker.attempt import Attempt, Ending, Stage
from safelight.worker.lora_library import LoraLibrary
from safelight.worker.prepare import decode_images, fetch_images, fetch_loras
from safelight.worker.upstream import Order, Upstream

log = structlog.get_logger(__name__)
T = TypeVar("T")

NOT_NOW = (Unavailable, StorageFull)
"""The database is away, or a disk full: neither the job's fault nor for ever."""


@dataclass(frozen=True)
class Equipment:
    """What a worker works with. upstreams: by model id, what draws for it in place of the child.

    disk: the real weights, if any. keep_for: how long outputs are kept; None: for ever.
    """

    store: Store
    files: FileStore
    fetcher: Fetcher
    loras: LoraLibrary
    catalogue: Catalogue
    child: Child
    decoder: Decoder = field(default_factory=Decoder)
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    disk: WeightsDisk | None = None
    keep_for: timedelta | None = None


class AttemptRunner:
    """Runs attempts on one child: one at a time in it, others before and after."""

    def __init__(self, equipment: Equipment, tell: Callable[[], None]) -> None:
        """tell: called when an attempt has progress that others would like to know of."""
        self._has = equipment
        self._tell = tell
        self._turn = asyncio.Lock()  # the child runs one attempt at a time
        self._publishing = asyncio.Semaphore(2)

    async def see_through(self, attempt: Attempt) -> bool:
        """Work on an attempt to its end, and tell the store how it ended.

        Returns False where the job went back because this machine could not work on it now.
        """
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
                await self._surely(lambda: self._has.store.lose_attempt(job))
            else:
                await self._end_early(attempt)
        except (ChildNotStarted, *NOT_NOW) as error:
            log.warning("job_given_back", job_id=job.id, reason=str(error))
            await self._surely(lambda: self._has.store.release(job))
            return False
        except (RunFailed, SafelightError) as error:
            await self._fail(job, JobError(error.code, error.text.within(job.language)))
        except Exception as error:
            log.error("attempt_broke", job_id=job.id, **whereabouts(error))
            await self._fail(job, JobError(InternalError.code, InternalError().text.within(job.language)))
        return True

    # --- the way there ------------------------------------------------------------------------------------

    async def _work(self, attempt: Attempt) -> None:
        with attempt.timed("fetch"):
            with disk_errors():
                attempt.folder.mkdir(mode=0o700)
            model = self._has.catalogue.get(attempt.job.model_id)
            known = self._has
            images = await fetch_images(attempt, model.Input, known.store, known.files, known.fetcher)
            loras = await fetch_loras(attempt, model, known.loras, self._weights_of(model))
        if upstream := known.upstreams.get(model.id):
            done = await self._draw_elsewhere(attempt, upstream, model, images)
            await self._publishing.acquire()
        else:
            pixels = await decode_images(attempt, model.Input, images, known.decoder)
            job, folder = attempt.job, str(attempt.folder)
            request = Generate(attempt.name, job.model_id, job.input, pixels, folder, loras)
            async with self._turn:
                attempt.leave_room()
                done = await self._generate(attempt, request)
                await self._publishing.acquire()
        try:
            await self._publish(attempt, done)
        finally:
            self._publishing.release()

    async def _draw_elsewhere(
        self, attempt: Attempt, upstream: Upstream, model: Model, images: dict[str, list[str]]
    ) -> Done:
        """Have an upstream draw, beside whatever the child does, and decode what it drew."""
        attempt.stage = Stage.ELSEWHERE
        attempt.leave_room()
        job, picture = attempt.job, attempt.folder / "drawn"

        attempt.upstream_task = job.upstream_task

        async def remember(task: str) -> None:
            attempt.upstream_task = task
            await self._surely(lambda: self._has.store.note_upstream(job, task))

        with attempt.timed("upstream"):
            await upstream.draw(Order(job.input, images, job.upstream_task, remember), picture)
        attempt.drawn_by = upstream.name
        asked = model.output_size(model.Input.accepted(job.input))
        assert asked is not None  # noqa: S101 - no upstream draws at a size that its input does not say
        size, target = Size(*asked), str(output_path(attempt.folder, 0))
        with attempt.timed("decode"):
            drawn = await self._has.decoder.decode(Decode(str(picture), target, scaled_to=size))
        attempt.stage = Stage.FINISHING
        note = f"It was drawn at {drawn.width}×{drawn.height} pixels and scaled to the asked size."
        return Done([size], upstream.name, 0.0, [] if drawn == size else [note])

    async def _generate(self, attempt: Attempt, request: Generate) -> Done:
        attempt.stage = Stage.RUNNING
        await self._has.child.start()
        if attempt.ending is not None:
            raise RunStopped
        with tracing.span("generate"):
            done, attempt.timings["load"] = await self._has.child.generate(
                request, lambda progress: self._note(attempt, progress)
            )
            tracing.note(load_s=attempt.timings["load"], generate_s=done.generate_s)
        attempt.timings["generate"] = done.generate_s
        attempt.stage = Stage.FINISHING
        return done

    async def _publish(self, attempt: Attempt, done: Done) -> None:
        outputs = await publish.store_outputs(attempt, done, self._has.files, self._has.keep_for)
        stored = publish.records(attempt.job, outputs)
        report = publish.report(attempt, done, self._has.catalogue.get(attempt.job.model_id))
        kept = await self._surely(lambda: self._has.store.complete(attempt.job, stored, outputs, report))
        if not kept and not await self._surely(lambda: self._is_recorded(attempt.job, outputs[0].file_id)):
            log.warning("output_dropped", job_id=attempt.job.id, attempt=attempt.job.attempt)
            for output in outputs:
                await self._has.files.delete(output.file_id)
            await self._surely(lambda: self._has.store.end_stopped(attempt.job))

    async def _is_recorded(self, job: Job, file_id: str) -> bool:
        """Whether the job is completed with this output: an answer to `complete` may have been lost."""
        found = await self._has.store.get(job.id, job.account_id)
        return found is not None and any(output.file_id == file_id for output in found.outputs)

    def _weights_of(self, model: Model) -> Source:
        """Where the parts of a model are that draw here."""
        if self._has.disk is not None and model.id in self._has.catalogue.real_ids:
            return Pulled(self._has.disk)
        return NanoFolders()

    def _note(self, attempt: Attempt, progress: Progress) -> None:
        attempt.note_progress(progress)
        if progress.step < progress.steps:  # what is about to end tells so itself
            self._tell()

    # --- ending -------------------------------------------------------------------------------------------

    async def _fail(self, job: Job, error: JobError) -> None:
        log.info("job_failed", job_id=job.id, code=error.code)
        tracing.note(code=error.code)
        await self._surely(lambda: self._has.store.fail(job, error))

    async def _end_early(self, attempt: Attempt) -> None:
        job = attempt.job
        if attempt.ending is Ending.LOST:
            return
        # One that shall be cancelled ends with this.
        await self._surely(lambda: self._has.store.release(job))
        if attempt.ending is Ending.CANCELLED and attempt.upstream_task:
            await self._has.upstreams[job.model_id].call_off(attempt.upstream_task)

    async def _surely(self, write: Callable[[], Awaitable[T]]) -> T:
        """Ask the store, as often as it takes while the database is away or its disk full."""
        for delay_s in backoff():
            try:
                return await write()
            except NOT_NOW as error:
                log.warning("database_away", reason=str(error))
                await asyncio.sleep(delay_s)
        raise AssertionError("backoff has no end")
