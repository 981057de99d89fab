"""Which weights each model draws with on this machine, decided once when a process starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from safelight.devices import Gpu, gpus, main_memory_bytes
from safelight.models import Catalogue, load_catalogue
from safelight.models.base import Model
from safelight.settings import Settings, WeightsChoice
from safelight.weights.disk import WeightsDisk
from safelight.weights.memory_plan import (
    MemoryPlan,
    PartSize,
    item_bytes,
    make_plan,
    published_sizes,
    size_on_disk,
)

MAIN_MEMORY_SHARE = 0.75
"""How much of the main memory streamed weights may fill. The rest is the system's, and the pictures'."""

CONTEXT_BYTES = 600 * 10**6
"""What a GPU's driver takes for a process before any weights are there. An allowance, not a measurement."""


@dataclass(frozen=True)
class Machine:
    """What weights are chosen by: what is on the disk, and the GPU with the least free memory, if any.

    streaming_bytes: how much of the main memory each worker may fill with what comes to its GPU.
    """

    disk: WeightsDisk
    gpu: Gpu | None
    streaming_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Machine:
        """This machine, as the settings let it be used."""
        found = [] if settings.device == "cpu" else gpus(settings)
        smallest = min(found, key=lambda gpu: gpu.free_bytes, default=None)
        share = int(main_memory_bytes() * MAIN_MEMORY_SHARE) // max(1, len(found) * settings.workers)
        return cls(WeightsDisk.of(settings), smallest, share)

    def can_follow(self, plan: MemoryPlan | None) -> bool:
        """Whether there is a plan, and main memory for what it streams."""
        return plan is not None and plan.streamed_bytes <= self.streaming_bytes


def open_catalogue(settings: Settings) -> Catalogue:
    """The catalogue with its weights chosen. Raises SettingsError."""
    known = load_catalogue(settings.models_dir)
    machine = Machine.of(settings)
    real = frozenset(model.id for model in known.all() if draws_real(model, machine, settings))
    nano = settings.weights is not WeightsChoice.REAL
    return Catalogue(known.all(), asks_upstreams=settings.asks_wan, real_ids=real, nano=nano)


def draws_real(model: Model, machine: Machine, settings: Settings) -> bool:
    """Whether a model draws with its real weights."""
    if not is_pulled(model, machine.disk):
        return False
    match settings.weights:
        case WeightsChoice.NANO:
            return False
        case WeightsChoice.REAL:
            return True
        case WeightsChoice.AUTO:
            return machine.can_follow(plan_for(model, machine, settings))
        case _:
            assert_never(settings.weights)


def is_pulled(model: Model, disk: WeightsDisk) -> bool:
    """Whether a model has real weights and all of them are here."""
    parts = model.weights.real
    return bool(parts) and all(disk.has(part) for part in parts.values())


def plan_for(model: Model, machine: Machine, settings: Settings) -> MemoryPlan | None:
    """How the model's real weights would share the GPU as it is now. None: they do not fit."""
    if machine.gpu is None:
        return None
    budget = machine.gpu.free_bytes - CONTEXT_BYTES
    if settings.memory_gib:
        budget = min(budget, int(settings.memory_gib * 2**30))
    return make_plan(sizes_of(model, machine.disk, settings), budget, precision=settings.precision)


def sizes_of(model: Model, disk: WeightsDisk, settings: Settings) -> list[PartSize]:
    """The sizes of a model's real parts on a GPU: read off their files, or as they are published."""
    parts = model.weights.real
    if not is_pulled(model, disk):
        return published_sizes(parts, settings.precision)
    return [
        size_on_disk(name, disk.path(part), item_bytes(name, settings.precision))
        for name, part in parts.items()
    ]
