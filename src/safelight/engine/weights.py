"""From a model's weights to loaded components: what `load` may ask for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safelight.models.base import NANO_DIR, Part

if TYPE_CHECKING:
    import torch

Component = TypeVar("Component")

WORDS = Path("shared", "words.txt")

ShelfKey = tuple[Path, type]
Shelf = dict[ShelfKey, Any]
"""What is loaded in this process, by folder and class: models that name the same folder share it."""


def part_folder(part: Part, root: Path = NANO_DIR) -> Path:
    """Where a part's files are."""
    return root / part.repo / part.folder


class Loader:
    """The `LoadContext` of one model. used: what it has taken off the shelf."""

    def __init__(self, parts: Mapping[str, Part], device: str, shelf: Shelf, root: Path = NANO_DIR) -> None:
        self._parts = parts
        self._device = device
        self._shelf = shelf
        self._root = root
        self.used: set[ShelfKey] = set()

    @property
    def device(self) -> torch.device:
        """Where the components are put."""
        torch = prepared_torch()
        return torch.device(choose_device(self._device))  # type: ignore[no-any-return]

    @property
    def known_words(self) -> frozenset[str] | None:
        """The words that nano weights were trained on; None: these weights know all of them."""
        path = self._root / WORDS
        return frozenset(path.read_text().split()) if path.is_file() else None

    def has(self, name: str) -> bool:
        """Whether these weights have a part of that name."""
        return name in self._parts

    def part(self, name: str, kind: type[Component]) -> Component:
        """Load one component by its name in `Weights`; components that models share are loaded once."""
        part = self._parts[name]
        key = (part_folder(part, self._root), kind)
        if key not in self._shelf:
            self._shelf[key] = self._load(*key)
        self.used.add(key)
        component: Component = self._shelf[key]
        return component

    def _load(self, folder: Path, kind: Any) -> Any:
        torch = prepared_torch()
        if not issubclass(kind, torch.nn.Module):
            return kind.from_pretrained(folder, local_files_only=True)
        # Half precision is slow on a CPU, and its results differ between CPUs.
        dtype = torch.float32 if self.device.type == "cpu" else torch.bfloat16
        module = kind.from_pretrained(folder, local_files_only=True, dtype=dtype)
        return module.to(self.device).eval()


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
