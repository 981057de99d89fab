"""Which devices this machine has, without torch: to ask it would take seconds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from safelight.settings import Settings

_DRIVER = Path("/proc/driver/nvidia/gpus")
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def devices(settings: Settings) -> list[dict[str, str]]:
    """What to add to the environment of each worker, so that each has a device: one GPU, or the CPU."""
    if settings.device != "auto":
        return [{}]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible is not None else map(str, range(len(gpu_names())))
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names] or [{}]


@dataclass(frozen=True)
class Gpu:
    """One GPU and what of its memory nobody uses now."""

    name: str
    free_bytes: int
    total_bytes: int


def gpus(settings: Settings) -> list[Gpu]:
    """The GPUs that workers of these settings get, as the driver's own tool tells them; none without it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    asked = [tool, "--query-gpu=index,uuid,name,memory.free,memory.total", "--format=csv,noheader,nounits"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=10)  # noqa: S603
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.stdout.splitlines()]
    wanted = _wanted(settings)
    return [
        Gpu(name, int(free) * 2**20, int(total) * 2**20)
        for index, uuid, name, free, total in (row for row in rows if len(row) == _COLUMNS)
        if (wanted is None or index in wanted or any(wish and uuid.startswith(wish) for wish in wanted))
        and free.isdigit()
        and total.isdigit()
    ]


_COLUMNS = 5


def _wanted(settings: Settings) -> list[str] | None:
    """The GPUs that may be used, by number or UUID; None: all of them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = None if visible is None else [name.strip() for name in visible.split(",")]
    number = re.fullmatch(r"cuda:(\d+)", settings.device)
    if number is None:
        return names
    at = int(number.group(1))
    return [str(at)] if names is None else names[at : at + 1]


def main_memory_bytes() -> int:
    """The main memory of this machine, or of the container that this process is in."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CONTAINER_LIMIT.read_text().strip() if _CONTAINER_LIMIT.is_file() else ""
    return min(whole, int(limit)) if limit.isdecimal() else whole


def device_label(settings: Settings) -> str:
    """The devices that workers get, for people to read."""
    if settings.device != "auto":
        return settings.device
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return f"GPU {visible}" if visible else _CPU
    return ", ".join(gpu_names()) or _CPU


_CPU = "CPU (no GPU was found)"


def gpu_names() -> list[str]:
    """The GPUs that the driver shows."""
    if _DRIVER.is_dir():
        return [_model(folder / "information") for folder in sorted(_DRIVER.iterdir())]
    if tool := shutil.which("nvidia-smi"):
        answer = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10)  # noqa: S603
        return re.findall(r"^GPU \d+: (.+?)(?: \(UUID.*)?$", answer.stdout, re.MULTILINE)
    return []


def _model(information: Path) -> str:
    found = re.search(r"^Model:\s*(.+)$", information.read_text(), re.MULTILINE)
    return found.group(1).strip() if found else "NVIDIA GPU"
