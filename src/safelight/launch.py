"""Start workers: one in this process, or several as processes that are watched and restarted."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import structlog

from safelight.db.database import Database
from safelight.db.wake import open_waker
from safelight.devices import device_label, devices
from safelight.engine.parent import Child
from safelight.engine.protocol import RealWeights, Setup
from safelight.errors import Unavailable
from safelight.files.files import LocalFiles
from safelight.jobs import new_id
from safelight.logs import configure_log
from safelight.models import Catalogue
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.network.fetch import Fetcher
from safelight.queue.attendance import Attendance
from safelight.queue.backoff import backoff, unless
from safelight.queue.store import Store
from safelight.settings import PREFIX, Settings
from safelight.tracing import configure_tracing
from safelight.weights.choice import open_catalogue
from safelight.weights.disk import WeightsDisk
from safelight.worker.lora_cache import LoraCache
from safelight.worker.lora_library import LoraLibrary
from safelight.worker.running import Equipment
from safelight.worker.scratch import scratch_folder
from safelight.worker.upstream import Upstream
from safelight.worker.wan_api import WanApi
from safelight.worker.worker import Pace, Worker

log = structlog.get_logger(__name__)

SUPERVISED = "SAFELIGHT_SUPERVISED"
"""In the environment of a worker whose standard input is a pipe from its supervisor."""
HEALTHY_AFTER_S = 60
"""A worker that lived this long is restarted at once; one that keeps dying waits longer each time."""
ORPHAN_S = 8
"""How long a worker whose supervisor was killed may take to give its jobs back."""


# --- One worker in this process -----------------------------------------------------------------------


async def run_worker(settings: Settings) -> None:
    """Run one worker until SIGTERM or SIGINT, or until the process that supervises it is gone."""
    configure_log()
    configure_tracing("safelight-worker")
    stop, at_once = asyncio.Event(), asyncio.Event()
    _end_on_signals(stop, at_once)
    _end_without_supervisor(stop, at_once)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    worker_id = f"{socket.gethostname()}.{os.getpid()}.{new_id()[:6]}"
    database = await _open_database(settings.database, stop)
    if database is None:
        return
    waker = open_waker(settings.database)
    catalogue = open_catalogue(settings)
    try:
        fetcher = Fetcher(settings.fetch_allow)
        with scratch_folder(settings.data_dir / "scratch", worker_id) as scratch:
            equipment = Equipment(
                store=Store(database, waker),
                files=LocalFiles(settings.files_dir),
                fetcher=fetcher,
                loras=lora_library(settings, fetcher),
                catalogue=catalogue,
                child=Child(child_setup(settings, catalogue)),
                upstreams=open_upstreams(settings, fetcher),
                disk=WeightsDisk.of(settings),
                keep_for=settings.keeps_for,
            )
            worker = Worker(worker_id, equipment, waker=waker, scratch=scratch)
            attending = Attendance(database).attending
            async with attending(worker_id, device_label(settings), lambda: worker.resident):
                await worker.run(stop, at_once)
    finally:
        await waker.close()
        await database.close()


def child_setup(settings: Settings, catalogue: Catalogue) -> Setup:
    """What this machine's children need to know."""
    real = RealWeights(
        sorted(catalogue.real_ids),
        str(settings.weights_folder),
        str(settings.lock_file),
        settings.precision.value,
    )
    return Setup(
        settings.device,
        str(settings.models_dir) if settings.models_dir else None,
        int(settings.memory_gib * 2**30) if settings.memory_gib else None,
        real if catalogue.real_ids else None,
        str(settings.data_dir / "compiled") if settings.compile else None,
    )


def lora_library(settings: Settings, fetcher: Fetcher) -> LoraLibrary:
    """Where this machine's workers get LoRAs from."""
    cache = LoraCache(settings.data_dir / "loras", int(settings.lora_cache_gb * 10**9))
    return LoraLibrary(cache, fetcher, hub_url=settings.hub_url, lora_dir=settings.lora_dir)


def open_upstreams(settings: Settings, fetcher: Fetcher) -> dict[str, Upstream]:
    """What draws elsewhere with this operator's keys, by model id."""
    if not settings.asks_wan:
        return {}
    assert settings.wan_api_key is not None  # noqa: S101 - the settings were checked
    return {WanImageToImage.id: WanApi(settings.wan_base_url, settings.wan_api_key, fetcher)}


async def _open_database(url: str, stop: asyncio.Event) -> Database | None:
    """The open database, as soon as it can be reached. None: `stop` came first."""
    for delay_s in backoff():
        try:
            return await Database.open(url)
        except Unavailable as error:
            log.warning("database_away", reason=str(error))
        if not await unless(stop, asyncio.sleep(delay_s)):
            break
    return None


def _end_on_signals(stop: asyncio.Event, at_once: asyncio.Event) -> None:
    """The first signal drains, the second one does not wait."""

    def heard() -> None:
        (at_once if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, heard)


def _end_without_supervisor(stop: asyncio.Event, at_once: asyncio.Event) -> None:
    """Watch standard input where `Workers` holds the other end of it: when that closes, they are gone."""
    if SUPERVISED not in os.environ:
        return
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if os.read(0, 1024):
            return
        loop.remove_reader(0)
        stop.set()
        at_once.set()
        loop.call_later(ORPHAN_S, os._exit, 1)

    loop.add_reader(0, heard)


# --- Several workers ----------------------------------------------------------------------------------


class Workers:
    """The worker processes of this machine: started, restarted when they die, stopped together.

    They hold the other end of a pipe to this process, so that none outlives it.
    """

    def __init__(self, settings: Settings) -> None:
        self._environments = [
            worker_environment(settings) | device for device in devices(settings) * settings.workers
        ]
        self._stop, self._at_once = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start them all; returns at once."""
        self._tasks = [asyncio.create_task(self._keep(environment)) for environment in self._environments]

    async def stop(self) -> None:
        """Let them finish or give back what they run, then end them."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    def hurry(self) -> None:
        """Do not wait for what runs: it goes back to the queue."""
        self._at_once.set()

    async def _keep(self, environment: dict[str, str]) -> None:
        delays = backoff(longest_s=30)
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            started_s = loop.time()
            try:
                process = await _spawn(environment)
            except OSError as error:
                log.error("worker_not_started", reason=error.strerror)
            else:
                if not await unless(self._stop, process.wait()):
                    await self._end(process)
                    return
                log.error("worker_died", pid=process.pid, returncode=process.returncode)
            if loop.time() - started_s > HEALTHY_AFTER_S:
                delays = backoff(longest_s=30)
            await unless(self._stop, asyncio.sleep(next(delays)))

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """End a worker: it may drain twice (what runs, what is given back), then it is killed."""
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(2 * Pace.drain_s + ORPHAN_S):
                await unless(self._at_once, process.wait())
                _let_go(process)
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _let_go(process: asyncio.subprocess.Process) -> None:
    """Close our end of the pipe: a worker that still drains takes that for our death and hurries."""
    assert process.stdin is not None  # noqa: S101 - it was started with a pipe
    process.stdin.close()


async def _spawn(environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "safelight", "worker"),
        stdin=asyncio.subprocess.PIPE,
        env=environment | {SUPERVISED: "1"},
        start_new_session=True,  # Ctrl-C is for the supervisor, which drains
    )


def worker_environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with its settings in it and without the owner's key."""
    given = {
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database_url,
        "WEIGHTS": settings.weights.value,
        "DEVICE": settings.device,
        "MODELS_DIR": str(settings.models_dir) if settings.models_dir else "",
        "MEMORY_GIB": str(settings.memory_gib) if settings.memory_gib else "",
        "WEIGHTS_DIR": str(settings.weights_dir) if settings.weights_dir else "",
        "PRECISION": settings.precision.value,
        "COMPILE": str(settings.compile),
        "FETCH_ALLOW": ",".join(settings.fetch_allow),
        "RETENTION": settings.retention,
        "LORA_DIR": str(settings.lora_dir) if settings.lora_dir else "",
        "LORA_CACHE_GB": str(settings.lora_cache_gb),
        "HUB_URL": settings.hub_url,
    }
    if settings.asks_wan and settings.wan_api_key:
        given["WAN_API_KEY"] = settings.wan_api_key.get_secret_value()
        given["WAN_BASE_URL"] = settings.wan_base_url
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | {PREFIX + name: value for name, value in given.items() if value}
