"""What of a model stays on its device, and what comes block by block while it computes.

Decided before anything is loaded, by arithmetic on sizes and without torch: `doctor` and the server plan as
the process with the device does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from safelight.loras.safetensors_header import LENGTH_BYTES, header_length, parse_header
from safelight.models.base import Part
from safelight.settings import Precision

WORKING_BYTES = 3 * 2**30
"""What computing one megapixel is allowed beside the weights. An allowance, not a measurement."""
MEGAPIXEL = 1024 * 1024

BF16_BYTES, FP8_BYTES, FP32_BYTES = 2, 1, 4

STREAMED_IN_TURN = ("text_encoder", "controlnet", "transformer")
"""What leaves the device, in this order: one runs once per prompt, one in some steps, one in all of them."""

FP8_PARTS = frozenset({"transformer", "controlnet"})
"""What fp8 halves. The others are read once per image, and are not what fills a card."""

_BLOCK = re.compile(r"^(.*?\.)??\d+(?=\.)")
_UNKNOWN_BLOCKS = 20
"""How many blocks a part is taken to have before its file is here."""


@dataclass(frozen=True)
class PartSize:
    """One part in memory. block_bytes: the largest piece of it that comes at once when it is streamed."""

    name: str
    bytes: int
    block_bytes: int


@dataclass(frozen=True)
class PlannedPart:
    """One part, and how much of it stays on the device; the rest of its blocks are streamed."""

    size: PartSize
    staying_bytes: int

    @property
    def name(self) -> str:
        """The part's name in `Weights`."""
        return self.size.name

    @property
    def streamed_bytes(self) -> int:
        """What comes from main memory each time that the part runs."""
        return self.size.bytes - self.staying_bytes


@dataclass(frozen=True)
class MemoryPlan:
    """How a model's parts share a device. budget_bytes: what it was made for."""

    precision: Precision
    parts: tuple[PlannedPart, ...]
    working_bytes: int
    budget_bytes: int

    @property
    def staying_bytes(self) -> int:
        """What weights take up on the device all the time."""
        return sum(part.staying_bytes for part in self.parts)

    @property
    def peak_bytes(self) -> int:
        """What the device must have: weights, two blocks on their way, and room to compute."""
        return self.staying_bytes + _buffers(self.parts) + self.working_bytes

    @property
    def streamed_bytes(self) -> int:
        """What main memory holds for the device."""
        return sum(part.streamed_bytes for part in self.parts)

    def part(self, name: str) -> PlannedPart | None:
        """The plan for one part; None: it is none of those that were planned."""
        return next((part for part in self.parts if part.name == name), None)


def make_plan(
    sizes: Sequence[PartSize],
    budget_bytes: int,
    *,
    precision: Precision = Precision.BF16,
    working_bytes: int = WORKING_BYTES,
) -> MemoryPlan | None:
    """The plan that keeps the most on the device within a budget. None: not even the leanest fits."""
    parts = [PlannedPart(size, size.bytes) for size in sizes]
    for name in (None, *STREAMED_IN_TURN):
        for at, part in enumerate(parts):
            if part.name == name:
                parts[at] = _streamed(parts, at, budget_bytes - working_bytes)
        plan = MemoryPlan(precision, tuple(parts), working_bytes, budget_bytes)
        if plan.peak_bytes <= budget_bytes:
            return plan
    return None


def leaner(plan: MemoryPlan) -> MemoryPlan | None:
    """The next plan to try when this one did not fit after all. None: there is none that keeps less."""
    sizes = [part.size for part in plan.parts]
    # What was planned for computing was too little: three quarters of the weights' room may be too much too.
    room = plan.working_bytes + max((plan.peak_bytes - plan.working_bytes) * 3 // 4, least_bytes(sizes))
    found = make_plan(sizes, room, precision=plan.precision, working_bytes=plan.working_bytes)
    if found is None or found.staying_bytes >= plan.staying_bytes:
        return None
    return replace(found, budget_bytes=plan.budget_bytes)


def fitting_pixels(plan: MemoryPlan) -> int:
    """How many pixels the leanest form of a plan leaves room for, by the allowance per megapixel."""
    room = plan.budget_bytes - least_bytes([part.size for part in plan.parts])
    return max(0, room * MEGAPIXEL // max(1, plan.working_bytes))


def least_bytes(sizes: Sequence[PartSize]) -> int:
    """What the weights take up when everything that can be streamed is."""
    fixed = sum(size.bytes for size in sizes if size.name not in STREAMED_IN_TURN)
    return fixed + _buffers([PlannedPart(size, 0) for size in sizes if size.name in STREAMED_IN_TURN])


def _streamed(parts: Sequence[PlannedPart], at: int, room_bytes: int) -> PlannedPart:
    """A part that keeps as much as the others leave it room for, in whole blocks."""
    part = parts[at]
    emptied = [*parts[:at], replace(part, staying_bytes=0), *parts[at + 1 :]]
    room = room_bytes - sum(other.staying_bytes for other in emptied) - _buffers(emptied)
    blocks = max(0, room) // max(1, part.size.block_bytes)
    return replace(part, staying_bytes=min(part.size.bytes, blocks * part.size.block_bytes))


def _buffers(parts: Iterable[PlannedPart]) -> int:
    """Two blocks: the one that computes and the one that is on its way."""
    return 2 * max((part.size.block_bytes for part in parts if part.streamed_bytes), default=0)


# --- Sizes ----------------------------------------------------------------------------------------------


def item_bytes(name: str, precision: Precision, *, on_cpu: bool = False) -> int:
    """How many bytes a number of a part takes up where it computes."""
    if on_cpu:
        return FP32_BYTES
    return FP8_BYTES if precision is Precision.FP8 and name in FP8_PARTS else BF16_BYTES


def size_on_disk(name: str, path: Path, bytes_each: int) -> PartSize:
    """A part's size by the headers of its files; path: its folder or its one file."""
    blocks: dict[str, int] = {}
    files = [path] if path.is_file() else sorted(path.iterdir())
    for file_path in (found for found in files if found.suffix == ".safetensors"):
        with file_path.open("rb") as file:
            header = parse_header(file.read(header_length(file.read(LENGTH_BYTES))))
        for tensor, info in header.tensors.items():
            found = _BLOCK.match(tensor)
            block = found.group() if found else tensor
            blocks[block] = blocks.get(block, 0) + prod(info.shape) * bytes_each
    return PartSize(name, sum(blocks.values()), max(blocks.values(), default=0))


def size_as_published(name: str, part: Part, bytes_each: int) -> PartSize:
    """A part's size before it is here; nothing where that is not known."""
    total = part.parameters * bytes_each
    return PartSize(name, total, total // _UNKNOWN_BLOCKS)


def published_sizes(parts: Mapping[str, Part], precision: Precision) -> list[PartSize]:
    """The sizes of a model's parts on a GPU before they are here."""
    return [size_as_published(name, part, item_bytes(name, precision)) for name, part in parts.items()]
