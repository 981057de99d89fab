"""What has left a GPU and is still in main memory, so that it is back in a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safelight.engine.weights import Shelf, ShelfKey, prepared_torch

SPARE_SHARE = 0.25
"""How much of the main memory stays free of it."""

_MEMINFO = Path("/proc/meminfo")


class ParkingLot:
    """Modules in pinned memory, by what they are; the longest parked leave when memory runs short."""

    def __init__(self) -> None:
        self.parked: Shelf = {}

    def park(self, key: ShelfKey, component: Any) -> None:
        """Move a module to main memory and remember it; where there is no room for it, forget it."""
        torch = prepared_torch()
        if not isinstance(component, torch.nn.Module):
            return
        from safelight.engine.streaming import Streamed, streamed

        weights = list(component.parameters())
        if not weights:
            return
        found = streamed(component) or Streamed(component, weights[0].device)
        while self.parked and not _has_room(found.staying_bytes):
            del self.parked[next(iter(self.parked))]
        if _has_room(found.staying_bytes):
            found.stay(0)
            self.parked[key] = component


def _has_room(size_bytes: int) -> bool:
    """Whether main memory has room for so much, and a share to spare."""
    if not _MEMINFO.is_file():
        return False
    lines = (line.split() for line in _MEMINFO.read_text().splitlines())
    kibibytes = {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) > 1}
    return kibibytes["MemAvailable"] * 1024 - size_bytes > kibibytes["MemTotal"] * 1024 * SPARE_SHARE
