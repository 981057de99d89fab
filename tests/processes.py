"""Look at processes from outside: which descend from one, and whether they are gone."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and nobody has asked how."""
    return Path(f"/proc/{pid}").exists() and not is_alive(pid)


def children_of(pid: int) -> list[int]:
    """The ids of all processes that descend from one."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return children + [descendant for child in children for descendant in children_of(child)]


def may_leave_network() -> bool:
    """Whether the kernel lets a process do what children do; asked of another program."""
    ways = (["unshare", "--net", "true"], ["unshare", "--user", "--net", "true"])
    return any(subprocess.run(way, capture_output=True).returncode == 0 for way in ways)


async def until_gone(pids: list[int], timeout_s: float = 15) -> None:
    """Wait until none of these processes runs. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.02)
