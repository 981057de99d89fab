"""Turn what the child left behind into stored outputs, and into what the result says about them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image

from safelight.db.clock import expiry
from safelight.engine.pixels import BrokenProtocol, Size, output_path, read_pixels
from safelight.engine.protocol import Done
from safelight.errors import InternalError
from safelight.files.files import FileStore
from safelight.images import codec
from safelight.jobs import Job, Output, Report, new_id
from safelight.models.base import Model
from safelight.queue.store import StoredFile
from safelight.worker.attempt import Attempt
from safelight.worker.upstream import LOCAL, UPSTREAM

DEFAULT_FORMAT = "png"
"""For models whose input has no `output_format`."""


async def store_outputs(
    attempt: Attempt, done: Done, files: FileStore, keep_for: timedelta | None
) -> list[Output]:
    """Encode and store the pixels in an attempt's folder. Raises StorageFull; then nothing is kept."""
    until = expiry(keep_for)
    format = attempt.job.input.get("output_format", DEFAULT_FORMAT)
    outputs: list[Output] = []
    try:
        for index, size in enumerate(done.sizes):
            with attempt.timed("encode"):
                data = await asyncio.to_thread(_encoded, attempt.folder, index, size, format)
            output = Output(new_id(), codec.content_type(format), size.width, size.height, len(data), until)
            outputs.append(output)
            with attempt.timed("store"):
                await files.put(output.file_id, data)
    except BaseException:
        for output in outputs:
            await files.delete(output.file_id)
        raise
    return outputs


def _encoded(folder: Path, index: int, size: Size, format: str) -> bytes:
    try:
        pixels = read_pixels(output_path(folder, index), size)
    except BrokenProtocol as error:
        raise InternalError from error
    return codec.encode(Image.frombytes("RGB", (size.width, size.height), pixels), format)


def records(job: Job, outputs: list[Output]) -> list[StoredFile]:
    """The files' records, owned by the job's account."""
    now = datetime.now(UTC)
    return [
        StoredFile(
            *(output.file_id, job.account_id, output.content_type, output.size_bytes, now, job.id),
            expires_at=output.expires_at,
        )
        for output in outputs
    ]


def report(attempt: Attempt, done: Done, model: Model) -> Report:
    """How the outputs came about. Timings are in seconds, rounded to a tenth of a millisecond."""
    timings = {stage: round(seconds, 4) for stage, seconds in attempt.timings.items()}
    seed = attempt.job.input.get("seed") or 0
    return Report(
        seed=seed,
        weights=attempt.drawn_by or done.weights,
        timings=timings,
        notes=tuple(done.notes),
        loras=tuple(asdict(use) for use in done.loras),
        expanded_prompt=done.expanded_prompt,
        backend=(UPSTREAM if attempt.drawn_by else LOCAL) if model.upstream else None,
    )
