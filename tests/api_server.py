"""A real server for tests: uvicorn in a thread, over a real database; the test plays the worker."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

from safelight.accounts.accounts import FIRST_KEY
from safelight.accounts.keys import key_row
from safelight.api.server import server_config
from safelight.api.services import Services, open_services
from safelight.db.tables import accounts, api_keys
from safelight.jobs import Job, JobError, Output, Report, new_id
from safelight.queue.store import StoredFile
from safelight.settings import Settings
from safelight.web.site import create_site

T = TypeVar("T")

OWNER_KEY = "owner-key-for-tests-0123456789abcdef"
NEIGHBOUR_ID = "neighbour"
NEIGHBOUR_KEY = "other-key-for-tests-0123456789abcdef"
MODELS = Path(__file__).parent / "models"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "789c63f8cfc000000301010018dd8db00000000049454e44ae426082"
)


@dataclass
class RunningServer:
    """A server that answers, and the services behind it."""

    url: str
    services: Services
    loop: asyncio.AbstractEventLoop
    app: FastAPI

    def client(self, key: str | None = OWNER_KEY, **headers: str) -> httpx2.Client:
        """A client with this key."""
        authorization = {"authorization": f"Bearer {key}"} if key else {}
        return httpx2.Client(base_url=self.url, headers=authorization | headers, timeout=60)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's own event loop, as a worker would on its own."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def submit(self, client: httpx2.Client, model_id: str = "test/instant", **fields: Any) -> str:
        """Submit and return the request's id."""
        answer = client.post(f"/v1/models/{model_id}", json=fields)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["request_id"])

    def claim(self, request_id: str) -> Job:
        """Take jobs as a worker, oldest first, until it is this one."""
        while True:
            job = self.do(self.services.store.claim("worker-1", self.services.catalogue.runnable_ids()))
            assert job is not None
            if job.id == request_id:
                return job

    def finish(
        self,
        job: Job,
        images: int = 1,
        content_type: str = "image/png",
        picture: bytes = PNG,
        notes: tuple[str, ...] = ("a note",),
    ) -> list[str]:
        """Complete a claimed job as a worker; returns the ids of its outputs."""
        ids = [new_id() for _ in range(images)]
        for file_id in ids:
            self.do(self.services.files.put(file_id, picture))
        now = datetime.now(UTC)
        stored = [StoredFile(i, job.account_id, content_type, len(PNG), now, job.id) for i in ids]
        shown = [Output(i, content_type, 1, 1, len(PNG)) for i in ids]
        report = Report(seed=7, weights="nano", timings={"generate": 0.25}, notes=notes)
        assert self.do(self.services.store.complete(job, stored, shown, report))
        return ids

    def fail(self, job: Job, code: str, message: str) -> None:
        """Fail a claimed job as a worker."""
        assert self.do(self.services.store.fail(job, JobError(code, message)))


@contextmanager
def running_server(data_dir: Path, **settings: Any) -> Iterator[RunningServer]:
    """Serve until the block ends. Two accounts are there: the owner's, and a metered neighbour's."""
    chosen = Settings(**{"data_dir": data_dir, "models_dir": MODELS, **settings})
    ready = threading.Event()
    box: dict[str, Any] = {}

    def note(**found: Any) -> None:
        box.update(found)
        ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(_serve(chosen, note)), daemon=True)
    thread.start()
    assert ready.wait(30)
    if "error" in box:
        raise box["error"]
    try:
        yield RunningServer(box["url"], box["services"], box["loop"], box["app"])
    finally:
        box["server"].should_exit = True
        thread.join(30)
        assert not thread.is_alive()


async def _serve(settings: Settings, note: Callable[..., None]) -> None:
    try:
        async with open_services(settings) as services:
            await services.accounts.ensure_owner(OWNER_KEY)
            await add_account(services, NEIGHBOUR_ID, NEIGHBOUR_KEY)
            app = create_site(services)
            await _NotingServer(server_config(app, "127.0.0.1", 0), app, services, note).serve()
    except BaseException as error:
        note(error=error)


class _NotingServer(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, services: Services, note: Callable[..., None]
    ) -> None:
        super().__init__(config)
        self.app = app
        self.services = services
        self.note = note

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        known = {"services": self.services, "loop": loop, "app": self.app, "server": self}
        self.note(url=f"http://127.0.0.1:{port}", **known)


async def add_account(services: Services, account_id: str, key: str) -> None:
    """Add a metered account with a key, unless it is there."""
    now = datetime.now(UTC)
    row = {"id": account_id, "email": f"{account_id}@example.org", "unmetered": False, "created_at": now}

    def insert(connection: sa.Connection) -> None:
        if not connection.execute(sa.select(accounts).where(accounts.c.id == account_id)).first():
            connection.execute(sa.insert(accounts).values(row))
            connection.execute(sa.insert(api_keys), key_row(key, account_id, FIRST_KEY))

    await services.database.write(insert)
