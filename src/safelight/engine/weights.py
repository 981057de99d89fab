"""From a model's weights to loaded components: what `load` may ask for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safelight.engine.sources import NanoFolders, Source
from safelight.models.base import NANO_DIR, Part, Vocabulary
from safelight.settings import Precision
from safelight.weights.memory_plan import FP8_PARTS, MemoryPlan

if TYPE_CHECKING:
    import torch

Component = TypeVar("Component")

COMPILED_PARTS = frozenset({"transformer", "controlnet"})
"""What runs in every step."""

ShelfKey = tuple[str, type]
Shelf = dict[ShelfKey, Any]
"""What is loaded in this process, by what the weights are and class: models that name the same share it."""


class Loader:
    """The `LoadContext` of one model. used: what it has taken off the shelf.

    plan: how the parts share the device; None: everything stays on it. parked: what has left the device for
    main memory.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        device: str,
        shelf: Shelf,
        root: Path = NANO_DIR,
        *,
        source: Source | None = None,
        plan: MemoryPlan | None = None,
        parked: Shelf | None = None,
        compile_dir: Path | None = None,
    ) -> None:
        self._parts = parts
        self._device = device
        self._shelf = shelf
        self._source = source or NanoFolders(root)
        self._parked = parked if parked is not None else {}
        self._compile_dir = compile_dir
        self.plan = plan
        self.used: set[ShelfKey] = set()
        self._taken: dict[str, Any] = {}

    @property
    def device(self) -> torch.device:
        """Where the components are put."""
        torch = prepared_torch()
        return torch.device(choose_device(self._device))  # type: ignore[no-any-return]

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words that nano weights were trained on; None: these weights know all of them."""
        return self._source.vocabulary()

    @property
    def weights_name(self) -> str:
        """`real` or `nano`."""
        return self._source.name

    def has(self, name: str) -> bool:
        """Whether these weights have a part of that name."""
        return name in self._parts

    def values(self, name: str) -> Mapping[str, Any]:
        """What the JSON file of a part says; nothing where these weights have no such part."""
        if not self.has(name):
            return {}
        found: dict[str, Any] = json.loads(self._source.path(self._parts[name]).read_text())
        return found

    def part(self, name: str, kind: type[Component]) -> Component:
        """Load one component by its name in `Weights`; components that models share are loaded once."""
        part = self._parts[name]
        key = (self._source.key(part), kind)
        if key not in self._shelf:
            self._shelf[key] = self._parked.pop(key, None) or self._load(name, self._source.path(part), kind)
        self._place(name, self._shelf[key])
        self.used.add(key)
        self._taken[name] = self._shelf[key]
        component: Component = self._shelf[key]
        return component

    def follow(self, plan: MemoryPlan) -> None:
        """Have as much of what is loaded on the device as another plan says."""
        self.plan = plan
        for name, component in self._taken.items():
            self._place(name, component)

    # --- loading ------------------------------------------------------------------------------------------

    def _load(self, name: str, path: Path, kind: Any) -> Any:
        torch = prepared_torch()
        if not issubclass(kind, torch.nn.Module):
            return kind.from_pretrained(path, local_files_only=True)
        from safelight.engine import checkpoints

        kind = checkpoints.class_of(path, kind)
        if self._is_streamed(name) or self.device.type == "cpu":
            module = checkpoints.load_module(self, path, kind, torch.device("cpu"), self._dtype)
        else:
            module = checkpoints.load_module(self, path, kind, self.device, self._dtype)
        if self._is_fp8(name):
            module.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=self._dtype)
        if self._compile_dir and self._is_compiled(name):
            from safelight.engine import compiling

            compiling.prepare_compiler(self._compile_dir)
            compiling.compile_blocks(module)
        return module.eval()

    def _place(self, name: str, component: Any) -> None:
        """Have as much of a component on the device as the plan says."""
        planned = self.plan.part(name) if self.plan else None
        if planned is None or not isinstance(component, prepared_torch().nn.Module):
            return
        from safelight.engine.streaming import Streamed, streamed

        found = streamed(component)
        if planned.streamed_bytes:
            (found or Streamed(component, self.device)).stay(planned.staying_bytes)
        elif found and found.streamed_bytes:
            found.stay_whole()

    @property
    def _dtype(self) -> torch.dtype:
        # Half precision is slow on a CPU, and its results differ between CPUs.
        torch = prepared_torch()
        return torch.float32 if self.device.type == "cpu" else torch.bfloat16  # type: ignore[no-any-return]

    def _is_compiled(self, name: str) -> bool:
        """Whether to compile a part: real ones on a GPU, whose numbers stay there as they are."""
        return (
            name in COMPILED_PARTS
            and self.weights_name == "real"
            and self.device.type == "cuda"
            and not self._is_streamed(name)
            and not self._is_fp8(name)
        )

    def _is_streamed(self, name: str) -> bool:
        planned = self.plan.part(name) if self.plan else None
        return planned is not None and planned.streamed_bytes > 0

    def _is_fp8(self, name: str) -> bool:
        return self.plan is not None and self.plan.precision is Precision.FP8 and name in FP8_PARTS


@cache
def choose_device(wish: str) -> str:
    """The device of this process: `auto` is the GPU where torch finds one, else the CPU."""
    if wish == "auto":
        return "cuda" if prepared_torch().cuda.is_available() else "cpu"
    return wish


@cache
def prepared_torch() -> Any:
    """torch, set up so that the same job gives the same bytes, and its libraries without progress bars."""
    import diffusers
    import torch
    import transformers

    # A number that is fixed for this machine: how sums are split over threads changes their last bits.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or _processors()))
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch


def _processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
