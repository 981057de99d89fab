"""What is loaded on this device, and what leaves when something else must come.

Parts that several models share are loaded once, and leave with the last of them. What leaves first is worth
least: GreedyDual (Young 1994; Cao and Irani 1997), which weighs the seconds that loading again would take
against the bytes that it frees, and ages what nobody asks for. Real weights come by a plan; what leaves a GPU
is kept in main memory while there is room.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safelight.engine.parking import ParkingLot
from safelight.engine.sources import NanoFolders, Pulled, Source
from safelight.engine.weights import Loader, Shelf, ShelfKey, choose_device, prepared_torch
from safelight.errors import OutOfMemory
from safelight.loras.safetensors_header import LENGTH_BYTES, header_length, parse_header
from safelight.models.base import NANO_DIR, Model, Part
from safelight.settings import Precision
from safelight.texts import Text
from safelight.weights.disk import WeightsDisk
from safelight.weights.memory_plan import (
    MemoryPlan,
    fitting_pixels,
    item_bytes,
    leaner,
    make_plan,
    size_on_disk,
)

CPU_SHARE = 0.5
GPU_SHARE = 0.7
"""How much of the memory there is may hold weights; the rest is for computing."""

CPU_ITEM_BYTES, GPU_ITEM_BYTES = 4, 2
"""What one number takes up once it is loaded, whatever the file's own format."""


@dataclass(frozen=True)
class RealModels:
    """The models that draw with real weights, and how those are kept in memory."""

    model_ids: frozenset[str]
    disk: WeightsDisk
    precision: Precision


@dataclass
class _Resident:
    """A loaded pipeline. seconds: what loading it took. worth: GreedyDual's H; the least leaves first."""

    loader: Loader
    pipeline: Any
    seconds: float
    worth: float = 0.0


class Residency:
    """The pipelines of this process, within a budget of bytes."""

    def __init__(
        self,
        device: str,
        budget_bytes: int | None = None,
        *,
        root: Path = NANO_DIR,
        real: RealModels | None = None,
        compile_dir: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """budget_bytes: None takes a share of the memory there is, known once the first model is loaded.

        compile_dir: where what is compiled for a GPU is kept; None: nothing is compiled.
        """
        self._device = device
        self._budget_bytes = budget_bytes
        self._plan_bytes = budget_bytes
        self._nano: Source = NanoFolders(root)
        self._real = real
        self._compile_dir = compile_dir
        self._clock = clock
        self._shelf: Shelf = {}
        self._parking = ParkingLot()
        self._residents: dict[str, _Resident] = {}
        self._plans: dict[str, MemoryPlan] = {}
        self._age = 0.0

    @property
    def model_ids(self) -> list[str]:
        """What is loaded."""
        return list(self._residents)

    @property
    def loaded_bytes(self) -> int:
        """What the loaded parts take up on the device, each counted once."""
        return _bytes_of(self._shelf.values())

    def pipeline(self, model: Model) -> tuple[Loader, Any]:
        """The model's pipeline, loaded if it is not there; others leave for it where they must.

        Raises OutOfMemory when no plan for its real weights fits.
        """
        if model.id not in self._residents:
            source = self._source(model)
            plan = self._plan(model, source)
            if plan:
                self._plans[model.id] = plan  # loading alone may be too much: a leaner one is then found
            self._make_room(source, source.parts(model), plan)
            self._residents[model.id] = self._load(model, source, plan)
        resident = self._residents[model.id] = self._residents.pop(model.id)  # of equals the first leaves
        resident.worth = self._age + resident.seconds / max(1, self._own_bytes(model.id))
        return resident.loader, resident.pipeline

    def make_leaner(self, model: Model) -> bool:
        """After the device ran out of memory: free what can be freed. Returns whether that was anything.

        The other models leave, and of this one less stays on the device from now on.
        """
        before = self.loaded_bytes
        resident = self._residents.get(model.id)
        plan = resident.loader.plan if resident else self._plans.get(model.id)
        found = leaner(plan) if plan else None
        if found:
            self._plans[model.id] = found
        for other in [name for name in self._residents if name != model.id]:
            del self._residents[other]
        if resident and found:
            resident.loader.follow(found)
        self._clear_shelf()
        return found is not None or self.loaded_bytes < before

    def fitting_pixels(self, model: Model) -> int | None:
        """How large a picture would fit with as little on the device as possible; None: unknown."""
        resident = self._residents.get(model.id)
        plan = resident.loader.plan if resident else self._plans.get(model.id)
        return fitting_pixels(plan) if plan else None

    # --- coming -------------------------------------------------------------------------------------------

    def _source(self, model: Model) -> Source:
        if self._real and model.id in self._real.model_ids:
            return Pulled(self._real.disk)
        return self._nano

    def _plan(self, model: Model, source: Source) -> MemoryPlan | None:
        """How real weights share the device; None for nano weights, which need no plan."""
        if self._real is None or source is self._nano:
            return None
        if model.id in self._plans:
            return self._plans[model.id]
        on_cpu, precision = choose_device(self._device) == "cpu", self._real.precision
        sizes = [
            size_on_disk(name, source.path(part), item_bytes(name, precision, on_cpu=on_cpu))
            for name, part in source.parts(model).items()
        ]
        if self._plan_bytes is None:
            self._plan_bytes = _free_memory(choose_device(self._device)) + self.loaded_bytes
        plan = make_plan(sizes, self._plan_bytes, precision=precision)
        # On a CPU there is no second memory to stream from, unless a budget is asked for.
        if plan is None or (on_cpu and self._budget_bytes is None and plan.streamed_bytes):
            raise OutOfMemory(_too_large(model.id, self._plan_bytes / 2**30))
        return plan

    def _load(self, model: Model, source: Source, plan: MemoryPlan | None) -> _Resident:
        started_s = self._clock()
        loader = Loader(
            source.parts(model),
            self._device,
            self._shelf,
            source=source,
            plan=plan,
            parked=self._parking.parked,
            compile_dir=self._compile_dir,
        )
        try:
            pipeline = model.load(loader)
        except BaseException:
            self._clear_shelf()
            raise
        return _Resident(loader, pipeline, self._clock() - started_s)

    def _make_room(self, source: Source, parts: Mapping[str, Part], plan: MemoryPlan | None) -> None:
        """Let pipelines leave until the parts that are missing fit, or nothing else is loaded."""
        if not parts:
            return
        keys = {source.key(part): (name, source.path(part)) for name, part in parts.items()}
        while self._residents and self.loaded_bytes + self._missing_bytes(keys, plan) > self._room(plan):
            least = min(self._residents, key=lambda model_id: self._residents[model_id].worth)
            self._age = self._residents.pop(least).worth
            self._clear_shelf(keep=frozenset(keys))

    def _missing_bytes(self, keys: Mapping[str, tuple[str, Path]], plan: MemoryPlan | None) -> int:
        there = {key for key, _ in self._shelf}
        missing = [place for key, place in keys.items() if key not in there]
        if plan:
            planned = [plan.part(name) for name, _ in missing]
            return sum(part.staying_bytes for part in planned if part)
        item = CPU_ITEM_BYTES if choose_device(self._device) == "cpu" else GPU_ITEM_BYTES
        return sum(_numbers_in(folder) for _, folder in missing) * item

    def _room(self, plan: MemoryPlan | None) -> int:
        """What weights may take up on the device."""
        if plan:
            return plan.budget_bytes - (plan.peak_bytes - plan.staying_bytes)
        return self._budget()

    def _budget(self) -> int:
        if self._budget_bytes is None:
            self._budget_bytes = _share_of_memory(choose_device(self._device))
        return self._budget_bytes

    # --- leaving ------------------------------------------------------------------------------------------

    def _clear_shelf(self, keep: frozenset[str] = frozenset()) -> None:
        """Drop every part that no pipeline uses, except what is about to be used."""
        used = {key for resident in self._residents.values() for key in resident.loader.used}
        unused = [key for key in self._shelf if key not in used and key[0] not in keep]
        on_gpu = choose_device(self._device) != "cpu"
        for key in unused:
            component = self._shelf.pop(key)
            if on_gpu:
                self._parking.park(key, component)
        if unused or on_gpu:
            gc.collect()  # pipelines and their modules refer to each other in circles
        if on_gpu:
            prepared_torch().cuda.empty_cache()

    def _own_bytes(self, model_id: str) -> int:
        """What would be free if this one left: its parts that no other resident uses."""
        others: set[ShelfKey] = set()
        for other, resident in self._residents.items():
            if other != model_id:
                others |= resident.loader.used
        return _bytes_of(self._shelf[key] for key in self._residents[model_id].loader.used - others)


def _bytes_of(components: Iterable[Any]) -> int:
    """What modules take up on their device; what they lend each other counts once."""
    found = {
        id(tensor): tensor.numel() * tensor.element_size()
        for component in components
        if isinstance(component, prepared_torch().nn.Module)
        for tensor in (*component.parameters(), *component.buffers())
    }
    return sum(found.values())


def _numbers_in(folder: Path) -> int:
    """How many numbers the weights of a folder have, by their headers."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = parse_header(file.read(header_length(file.read(LENGTH_BYTES))))
        count += sum(prod(tensor.shape) for tensor in header.tensors.values())
    return count


def _share_of_memory(device: str) -> int:
    if device == "cpu":
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * CPU_SHARE)
    return int(prepared_torch().cuda.get_device_properties(device).total_memory * GPU_SHARE)


def _free_memory(device: str) -> int:
    """What a device has left now, for weights and for computing."""
    if device == "cpu":
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * CPU_SHARE)
    free: int = prepared_torch().cuda.mem_get_info(device)[0]
    return free


def _too_large(model_id: str, gib: float) -> Text:
    return Text(
        f"The real weights of {model_id} do not fit in the {gib:.1f} GiB that this device has for them, "
        "not even streamed; SAFELIGHT_WEIGHTS=nano draws on it.",
        f"{model_id}의 실제 가중치는 이 장치의 {gib:.1f}GiB에 스트리밍으로도 들어가지 않습니다. "
        "SAFELIGHT_WEIGHTS=nano로는 그릴 수 있습니다.",
    )
