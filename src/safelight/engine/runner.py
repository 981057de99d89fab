"""Run one job in the child: take up its images, load its model, generate, leave the pixels in its folder."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from safelight.engine.pixels import Pixels, Size, output_path, read_pixels
from safelight.engine.protocol import (
    MAX_NOTE_CHARACTERS,
    Done,
    Failed,
    FromChild,
    Generate,
    Loaded,
    Setup,
    Step,
    Stopped,
    Thumbnail,
)
from safelight.engine.residency import RealModels, Residency
from safelight.engine.trouble import is_device_broken, is_out_of_memory, known_trouble, out_of_memory
from safelight.engine.weights import Loader
from safelight.errors import SafelightError
from safelight.models import load_catalogue
from safelight.models.base import Model, Run
from safelight.settings import Precision
from safelight.weights.disk import WeightsDisk
from safelight.weights.lock import read_lock

MAX_NOTES = 50


@dataclass(frozen=True)
class _Job:
    """One job on its way through this process."""

    request: Generate
    model: Model
    asked: Any
    pictures: Mapping[str, Sequence[Image.Image]]


class RunStopped(BaseException):
    """The parent wants this job to end. No `except Exception` of a library keeps it."""


class Runner:
    """The models of this process, loaded as jobs ask for them."""

    def __init__(
        self, setup: Setup, send: Callable[[FromChild], None], wants_stop: Callable[[], bool]
    ) -> None:
        self._catalogue = load_catalogue(Path(setup.models_dir) if setup.models_dir else None)
        self._residency = Residency(
            setup.device,
            setup.memory_bytes,
            real=_real_models(setup),
            compile_dir=Path(setup.compile_dir) if setup.compile_dir else None,
        )
        self._real_ids = frozenset(setup.real.model_ids) if setup.real else frozenset()
        self._send = send
        self._wants_stop = wants_stop

    def warm_up(self) -> None:
        """Load the first model whose weights are here, before a job asks for it."""
        for model in sorted(self._catalogue.all(), key=lambda model: model.id not in self._real_ids):
            if model.id in self._real_ids or (model.is_ready() and model.weights.nano):
                # What is wrong with it is told to the job that asks for it.
                with contextlib.suppress(Exception):
                    self._residency.pipeline(model)
                return

    def run(self, request: Generate) -> Done | Failed | Stopped:
        """Run one job to its end, whatever that is."""
        try:
            return self._generate(request)
        except RunStopped:
            return Stopped()
        except SafelightError as error:
            return Failed.of(error)
        except Exception as error:
            traceback.print_exc()
            if is_device_broken(error):
                # Everything after it would fail too: a new process costs less.
                sys.exit(1)
            return Failed.of(known_trouble(error))

    def _generate(self, request: Generate) -> Done:
        model = self._catalogue.get(request.model_id)
        asked = model.Input.accepted(request.input)
        if model.id not in self._real_ids:
            model.check_installed(asked)  # it may have been accepted where more is installed
        pictures = {name: [_picture(it) for it in images] for name, images in request.images.items()}
        job = _Job(request, model, asked, pictures)
        try:
            return self._drawn(job)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Out of the block above: what the error's traceback holds would stay on the device.
        if self._residency.make_leaner(model):
            try:
                return self._drawn(job, leaner=True)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
        raise out_of_memory(model, model.output_size(asked), self._residency.fitting_pixels(model))

    def _drawn(self, job: _Job, *, leaner: bool = False) -> Done:
        """One go at a job. Raises whatever the model does."""
        started_s = time.monotonic()
        context, pipeline = self._residency.pipeline(job.model)
        self._send(Loaded(time.monotonic() - started_s, self._residency.model_ids))
        notes: list[str] = []
        started_s = time.monotonic()
        run = self._run(job.request, context, job.pictures, notes)
        outputs = _checked(job.model.generate(pipeline, job.asked, run), job.model.output_size(job.asked))
        for index, output in enumerate(outputs):
            output_path(Path(job.request.folder), index).write_bytes(output.tobytes())
        if leaner:
            notes.append("The device ran out of memory at first; it was drawn with less of the model on it.")
        if context.plan and context.plan.precision is Precision.FP8:
            notes.append("The transformer was kept in fp8, which changes the picture a little.")
        return Done(
            sizes=[Size(*output.size) for output in outputs],
            weights=context.weights_name,
            generate_s=time.monotonic() - started_s,
            notes=[note[:MAX_NOTE_CHARACTERS] for note in notes[:MAX_NOTES]],
            loras=run.report.loras,
            expanded_prompt=run.report.expanded_prompt,
        )

    def _run(
        self,
        request: Generate,
        context: Loader,
        pictures: Mapping[str, Sequence[Image.Image]],
        notes: list[str],
    ) -> Run:
        shown: list[Thumbnail] = []

        def show(image: Image.Image) -> None:
            shown[:] = [Thumbnail.of(*image.size, image.tobytes())]

        def on_step(step: int, steps: int) -> None:
            if self._wants_stop():
                raise RunStopped
            self._send(Step(step, steps, shown.pop() if shown else None))

        return Run(
            context=context,
            seed=request.input.get("seed") or 0,
            images=pictures,
            on_step=on_step,
            note=notes.append,
            loras=request.loras,
            show=show,
        )


def _picture(pixels: Pixels) -> Image.Image:
    """An input's image."""
    size = pixels.size
    return Image.frombytes("RGB", (size.width, size.height), read_pixels(Path(pixels.path), size))


def _checked(outputs: Any, asked: tuple[int, int] | None) -> list[Image.Image]:
    """What a model returned, as RGB. Raises TypeError or ValueError unless it is what was asked for."""
    if not isinstance(outputs, list) or not outputs:
        raise TypeError(f"the model returned {type(outputs).__name__}, not a list of images")
    for output in outputs:
        if not isinstance(output, Image.Image):
            raise TypeError(f"the model returned a {type(output).__name__}, not an image")
        if output.size != (asked or output.size):
            raise ValueError(f"the model returned {output.size} pixels, asked were {asked}")
    return [output.convert("RGB") for output in outputs]


def _real_models(setup: Setup) -> RealModels | None:
    if setup.real is None:
        return None
    disk = WeightsDisk(Path(setup.real.folder), read_lock(Path(setup.real.lock_file)))
    return RealModels(frozenset(setup.real.model_ids), disk, Precision(setup.real.precision))
