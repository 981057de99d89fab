"""Which devices this machine has, without torch: to ask it would take seconds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from safelight.settings import Settings

_DRIVER = Path("/proc/driver/nvidia/gpus")


def devices(settings: Settings) -> list[dict[str, str]]:
    """What to add to the environment of each worker, so that each has a device: one GPU, or the CPU."""
    if settings.device != "auto":
        return [{}]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible is not None else map(str, range(len(gpu_names())))
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names] or [{}]


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
