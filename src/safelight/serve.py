"""The server: the API in this process, its workers in others, and maintenance of the queue.

Stopping takes three steps: no new work is accepted, workers finish or give back what runs (status and result
are answered meanwhile), then the API closes.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import structlog
import uvicorn
import uvloop

from safelight.accounts.accounts import OWNER_ID, Accounts
from safelight.accounts.keys import new_key
from safelight.api.server import server_config
from safelight.api.services import Services, open_services
from safelight.errors import SettingsError, Unavailable
from safelight.files.files import disk_errors, sync_folder, write_durably
from safelight.launch import Workers
from safelight.logs import configure_log
from safelight.settings import Settings, local_url
from safelight.tracing import configure_tracing
from safelight.upkeep.deadlines import Deadlines
from safelight.upkeep.deliveries import Deliveries
from safelight.upkeep.maintenance import Maintenance
from safelight.upkeep.sweep import Sweep
from safelight.web.site import create_site
from safelight.welcome import Welcome, show_welcome

log = structlog.get_logger(__name__)

MAX_PORT = 65535
BACKLOG = 2048
"""Connections that may wait to be accepted, as uvicorn has it."""


def serve(settings: Settings) -> None:
    """Run the server until SIGTERM or SIGINT; a second signal does not wait for what runs.

    Raises SettingsError when the port is taken, or when the data folder or the database cannot be used.
    """
    configure_log()
    configure_tracing("safelight-api")
    os.umask(0o077)  # What is kept here is nobody else's: prompts, images, keys.
    with _listen(settings.host, settings.port) as listener:
        _make_folder(settings.data_dir)
        uvloop.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with _opened(settings) as services:
        key = await owner_key(services.accounts, settings)
        url = local_url(settings.host, listener.getsockname()[1])
        link = await login_link(services, url) if sys.stdout.isatty() else None
        welcome = Welcome(settings, url, key, services.catalogue, link)
        server = _Server(server_config(create_site(services), settings.host, settings.port), welcome)
        if settings.fetch_allow:
            log.info("fetch_allowed", hosts=list(settings.fetch_allow))
        await _run(server, listener, services, Workers(settings))


async def _run(server: _Server, listener: socket.socket, services: Services, workers: Workers) -> None:
    _end_on_signals(services.stopping, workers)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        group.create_task(Maintenance(services.store).run(services.stopping))
        deliveries = Deliveries(services.webhooks, services.store, services.fetcher)
        group.create_task(deliveries.run(services.stopping))
        group.create_task(Deadlines(services.store).run(services.stopping))
        group.create_task(
            Sweep(services.store, services.records, services.webhooks, services.files).run(services.stopping)
        )
        try:
            await server.answers.wait()  # First of all answer: workers are heavy to start.
            await workers.start()
            await services.stopping.wait()
        finally:
            await workers.stop()
            server.should_exit = True


class _Server(uvicorn.Server):
    """Uvicorn that leaves signals to us, and says when it answers."""

    def __init__(self, config: uvicorn.Config, welcome: Welcome) -> None:
        super().__init__(config)
        self.welcome = welcome
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()
        show_welcome(self.welcome)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _end_on_signals(stop: asyncio.Event, workers: Workers) -> None:
    def heard() -> None:
        if stop.is_set():
            workers.hurry()
        else:
            log.info("stopping")
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, heard)


# --- The first start ------------------------------------------------------------------------------------


async def owner_key(accounts: Accounts, settings: Settings) -> str | None:
    """Let the owner in. Returns the key of a new owner who did not bring one; it is in the key file."""
    if settings.api_key:
        await accounts.ensure_owner(settings.api_key.get_secret_value())
        return None
    if await accounts.has_owner():
        return None
    # Saved first: a server that dies in between must not leave an owner whose key nobody has.
    key = settings.saved_key or _save_key(settings.key_file)
    await accounts.ensure_owner(key)
    return key


async def login_link(services: Services, url: str) -> str:
    """Make an address that logs the owner in once. Its code is in the fragment, which no server is sent."""
    code = await services.sessions.new_code(OWNER_ID)
    return f"{services.settings.public_url or url}/login#code={code}"


def _save_key(path: Path) -> str:
    key = new_key()
    with disk_errors():
        path.unlink(missing_ok=True)
        write_durably(path, f"{key}\n".encode())
        sync_folder(path.parent)
    return key


# --- What may be wrong at the start ---------------------------------------------------------------------


def _listen(host: str, port: int) -> socket.socket:
    """Open the listening socket: before anything else, so that a port that is taken is told at once."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], found[0][4]
        return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(_why_not_listening(error, host, port)) from None


def _why_not_listening(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"SAFELIGHT_PORT: {port} is taken on this machine, perhaps by another Safelight; stop it, "
            f"or take another port, such as --port {port % MAX_PORT + 1}; --port 0 takes a free one"
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"SAFELIGHT_PORT: {port} needs privileges that this user lacks; take one from 1024 up"
    return (
        f"SAFELIGHT_HOST: this machine cannot listen on {host}; take 127.0.0.1, or 0.0.0.0 for all networks"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"SAFELIGHT_DATA_DIR: {folder} cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"SAFELIGHT_DATA_DIR: {folder} cannot be written by this user; name another folder"
        )


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        try:
            services = await stack.enter_async_context(open_services(settings))
        except Unavailable:
            where = "SAFELIGHT_DATABASE_URL" if settings.database_url else "SAFELIGHT_DATA_DIR"
            raise SettingsError(f"{where}: the database there does not answer; is it running?") from None
        yield services
