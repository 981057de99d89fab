"""`safelight doctor`: look at this machine and say in plain words what works and what to do."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from safelight import __version__
from safelight.client import APIError, Client, ConnectionFailed
from safelight.db.sqlite import SAFE_WAL, is_wal_safe, sqlite
from safelight.devices import Gpu, gpu_names
from safelight.engine.parent import Child
from safelight.engine.process import ChildNotStarted
from safelight.engine.protocol import Setup
from safelight.errors import SettingsError
from safelight.models import REAL
from safelight.models.base import Model
from safelight.settings import Settings, WeightsChoice
from safelight.weights.choice import Machine, is_pulled, open_catalogue, plan_for
from safelight.weights.memory_plan import MemoryPlan
from safelight.weights.plan_words import in_words

LOW_DISK_BYTES = 2 * 10**9

_ASK_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "torch": torch.__version__,
    "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
    "threads": torch.get_num_threads(),
}))
"""


class Verdict(StrEnum):
    """How a check ended."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "problem"


@dataclass(frozen=True)
class Finding:
    """What one check found; a problem says what to do."""

    verdict: Verdict
    subject: str
    message: str


def examine(settings: Settings, base_url: str, api_key: str) -> Iterator[Finding]:
    """Run every check, one after the other."""
    yield Finding(Verdict.GOOD, "version", f"Safelight {__version__} on Python {sys.version.split()[0]}")
    yield _data_folder(settings)
    yield _database(settings)
    yield _device(settings)
    yield asyncio.run(_child(settings))
    yield from _models(settings)
    yield _server(base_url, api_key)


def _data_folder(settings: Settings) -> Finding:
    folder = settings.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < LOW_DISK_BYTES:
        return Finding(Verdict.BAD, "data folder", f"{folder}: only {free / 1e9:.1f} GB free; make room")
    state = "" if folder.exists() else " (made at the first start)"
    return Finding(Verdict.GOOD, "data folder", f"{folder}{state}, {free / 1e9:.0f} GB free")


def _database(settings: Settings) -> Finding:
    if settings.database.startswith("postgres"):
        return Finding(Verdict.GOOD, "database", "Postgres, as SAFELIGHT_DATABASE_URL says")
    if not is_wal_safe():
        safe = ".".join(map(str, SAFE_WAL))
        message = f"SQLite {sqlite.sqlite_version} is older than {safe}: a rollback journal is used, slower"
        return Finding(Verdict.NOTE, "database", message)
    message = f"SQLite {sqlite.sqlite_version}, write-ahead log, every commit synced to disk"
    return Finding(Verdict.GOOD, "database", message)


def _device(settings: Settings) -> Finding:
    command = [sys.executable, "-c", _ASK_TORCH]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if asked.returncode:
        last = asked.stderr.strip().splitlines()[-1:] or ["no output"]
        return Finding(Verdict.BAD, "device", f"torch cannot be imported: {last[0][:200]}")
    found = json.loads(asked.stdout)
    if found["gpus"]:
        return Finding(Verdict.GOOD, "device", f"{', '.join(found['gpus'])}; torch {found['torch']}")
    if settings.device.startswith("cuda") or gpu_names():
        return Finding(
            Verdict.BAD, "device", f"torch {found['torch']} finds no GPU; install a build for yours"
        )
    return Finding(Verdict.GOOD, "device", f"CPU, {found['threads']} threads; torch {found['torch']}")


async def _child(settings: Settings) -> Finding:
    """Start what runs models, and see whether the kernel lets it leave the network."""
    models_dir = str(settings.models_dir) if settings.models_dir else None
    child = Child(Setup(settings.device, models_dir))
    try:
        await child.start()
    except ChildNotStarted as error:
        return Finding(Verdict.BAD, "engine", f"its process does not start: {error}")
    finally:
        await child.kill()
    if child.confined:
        return Finding(Verdict.GOOD, "engine", "starts, without network and privileges")
    message = "starts; this system does not let it give up the network, so run workers as a user of their own"
    return Finding(Verdict.NOTE, "engine", message)


def _models(settings: Settings) -> Iterator[Finding]:
    try:
        catalogue, machine = open_catalogue(settings), Machine.of(settings)
    except SettingsError as error:
        yield Finding(Verdict.BAD, "models", error.message)
        return
    for model in catalogue.all():
        yield _model(model, catalogue.weights_of(model), machine, settings)


def _model(model: Model, weights: str | None, machine: Machine, settings: Settings) -> Finding:
    if not model.has_engine():
        return Finding(Verdict.NOTE, model.id, "listed; this version cannot run it yet")
    if weights is not None and weights == model.upstream:
        return Finding(Verdict.GOOD, model.id, f"ready, drawn by {weights} with your key")
    if weights == REAL:
        return _with_real_weights(model, machine, settings)
    if weights is None and settings.weights is WeightsChoice.REAL:
        bring = f"bring them: safelight models pull {model.id}"
        why = _why_not_real(model, machine, settings) if machine.gpu else bring
        return Finding(Verdict.BAD, model.id, f"its real weights are not here; {why}")
    found = _with_nano_weights(model)
    if not model.weights.real:
        return found
    if machine.gpu is None:
        more = "" if found.verdict is Verdict.GOOD else "; its real weights need a GPU"
        return replace(found, message=found.message + more)
    return replace(found, message=f"{found.message}; {_why_not_real(model, machine, settings)}")


def _with_real_weights(model: Model, machine: Machine, settings: Settings) -> Finding:
    if machine.gpu is None:
        return Finding(Verdict.NOTE, model.id, "ready, real weights on a CPU: minutes for every step")
    plan = plan_for(model, machine, settings)
    if plan is None or not machine.can_follow(plan):
        return Finding(Verdict.BAD, model.id, _does_not_fit(plan, machine))
    return Finding(Verdict.GOOD, model.id, f"ready, real weights; {_free(machine.gpu)}; {in_words(plan)}")


def _why_not_real(model: Model, machine: Machine, settings: Settings) -> str:
    """What stands between a machine with a GPU and the real weights."""
    plan = plan_for(model, machine, settings)
    if plan is None or not machine.can_follow(plan):
        return _does_not_fit(plan, machine)
    if is_pulled(model, machine.disk):
        return "its real weights are here, and SAFELIGHT_WEIGHTS=nano leaves them"
    return f"the real ones would fit ({in_words(plan)}): safelight models pull {model.id}"


def _does_not_fit(plan: MemoryPlan | None, machine: Machine) -> str:
    """Which of the two memories is too small."""
    assert machine.gpu is not None  # noqa: S101 - it was asked before
    refused = f"its real weights do not fit; {_free(machine.gpu)}"
    if plan is None:
        return refused
    return (
        f"{refused}, so {plan.streamed_bytes / 1e9:.1f} GB of main memory would be taken, and a worker may "
        f"take {machine.streaming_bytes / 1e9:.1f} GB here; SAFELIGHT_PRECISION=fp8 takes less"
    )


def _free(gpu: Gpu) -> str:
    return f"{gpu.name} has {gpu.free_bytes / 1e9:.1f} of {gpu.total_bytes / 1e9:.1f} GB free"


def _with_nano_weights(model: Model) -> Finding:
    if not model.weights.nano:
        return Finding(Verdict.GOOD, model.id, "ready, needs no weights")
    if missing := model.weights.missing_nano():
        message = f"not ready: its nano weights are not installed ({', '.join(missing)})"
        return Finding(Verdict.NOTE, model.id, message)
    return Finding(Verdict.GOOD, model.id, "ready, nano weights")


def _server(base_url: str, api_key: str) -> Finding:
    with Client(base_url, api_key) as client:
        try:
            client.balance()
        except ConnectionFailed:
            return Finding(Verdict.NOTE, "server", f"none answers at {base_url}; start one: safelight serve")
        except APIError as error:
            return Finding(Verdict.BAD, "server", f"{base_url} refuses: {error.message}")
    return Finding(Verdict.GOOD, "server", f"answers at {base_url} and accepts the key")
