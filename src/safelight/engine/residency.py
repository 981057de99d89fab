"""What is loaded on this device, and what leaves when something else must come.

Parts that several models share are loaded once, and leave with the last of them. What leaves first is worth
least: GreedyDual (Young 1994; Cao and Irani 1997), which weighs the seconds that loading again would take
against the bytes that it frees, and ages what nobody asks for.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safelight.engine.weights import Loader, Shelf, ShelfKey, choose_device, part_folder, prepared_torch
from safelight.models.base import NANO_DIR, Model, Part
from safelight.safetensors_header import LENGTH_BYTES, header_length, parse_header

CPU_SHARE = 0.5
GPU_SHARE = 0.7
"""How much of the memory there is may hold weights; the rest is for computing."""

CPU_ITEM_BYTES, GPU_ITEM_BYTES = 4, 2
"""What one number takes up once it is loaded, whatever the file's own format."""


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """budget_bytes: None takes a share of the memory there is, known once the first model is loaded."""
        self._device = device
        self._budget_bytes = budget_bytes
        self._root = root
        self._clock = clock
        self._shelf: Shelf = {}
        self._residents: dict[str, _Resident] = {}
        self._age = 0.0

    @property
    def model_ids(self) -> list[str]:
        """What is loaded."""
        return list(self._residents)

    @property
    def loaded_bytes(self) -> int:
        """What the loaded parts take up, each counted once."""
        return sum(map(_bytes_of, self._shelf.values()))

    def pipeline(self, model: Model) -> tuple[Loader, Any]:
        """The model's pipeline, loaded if it is not there; others leave for it where they must."""
        if model.id not in self._residents:
            self._make_room(model.weights.nano)
            self._residents[model.id] = self._load(model)
        resident = self._residents[model.id] = self._residents.pop(model.id)  # of equals the first leaves
        resident.worth = self._age + resident.seconds / max(1, self._own_bytes(model.id))
        return resident.loader, resident.pipeline

    # --- coming -------------------------------------------------------------------------------------------

    def _load(self, model: Model) -> _Resident:
        started_s = self._clock()
        loader = Loader(model.weights.nano, self._device, self._shelf, self._root)
        try:
            pipeline = model.load(loader)
        except BaseException:
            self._clear_shelf()
            raise
        return _Resident(loader, pipeline, self._clock() - started_s)

    def _make_room(self, parts: Mapping[str, Part]) -> None:
        """Let pipelines leave until the parts that are missing fit, or nothing else is loaded."""
        if not parts:
            return
        folders = {part_folder(part, self._root) for part in parts.values()}
        while self._residents and self.loaded_bytes + self._missing_bytes(folders) > self._budget():
            least = min(self._residents, key=lambda model_id: self._residents[model_id].worth)
            self._age = self._residents.pop(least).worth
            self._clear_shelf(keep=folders)

    def _missing_bytes(self, folders: set[Path]) -> int:
        there = {folder for folder, _ in self._shelf}
        item_bytes = CPU_ITEM_BYTES if choose_device(self._device) == "cpu" else GPU_ITEM_BYTES
        return sum(_numbers_in(folder) for folder in folders - there) * item_bytes

    def _budget(self) -> int:
        if self._budget_bytes is None:
            self._budget_bytes = _share_of_memory(choose_device(self._device))
        return self._budget_bytes

    # --- leaving ------------------------------------------------------------------------------------------

    def _clear_shelf(self, keep: frozenset[Path] | set[Path] = frozenset()) -> None:
        """Drop every part that no pipeline uses, except what is about to be used."""
        used = {key for resident in self._residents.values() for key in resident.loader.used}
        unused = [key for key in self._shelf if key not in used and key[0] not in keep]
        if not unused:
            return
        for key in unused:
            del self._shelf[key]
        gc.collect()  # pipelines and their modules refer to each other in circles
        if choose_device(self._device) != "cpu":
            prepared_torch().cuda.empty_cache()

    def _own_bytes(self, model_id: str) -> int:
        """What would be free if this one left: its parts that no other resident uses."""
        others: set[ShelfKey] = set()
        for other, resident in self._residents.items():
            if other != model_id:
                others |= resident.loader.used
        return sum(_bytes_of(self._shelf[key]) for key in self._residents[model_id].loader.used - others)


def _bytes_of(component: Any) -> int:
    if not isinstance(component, prepared_torch().nn.Module):
        return 0
    tensors = [*component.parameters(), *component.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


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
