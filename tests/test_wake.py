from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelight.db import postgres
from safelight.db.wake import SocketWaker, open_waker
from tests.cable import Cable

LONG_S = 20.0
"""Longer than a test may take: who waits that long was not woken."""


@pytest.fixture
async def pair(database_url):
    """A waker of a worker that listens, and one of another process."""
    worker, api = open_waker(database_url), open_waker(database_url)
    await worker.wait(LONG_S)  # Returns at once: look at the database, then wait.
    yield worker, api
    await worker.close()
    await api.close()


async def test_a_waiting_worker_is_woken(pair):
    worker, api = pair
    waiting = asyncio.create_task(worker.wait(LONG_S))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await api.notify()
    async with asyncio.timeout(5):
        await waiting


async def test_what_was_notified_before_the_wait_counts(pair):
    worker, api = pair
    await api.notify()
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await worker.wait(LONG_S)


async def test_many_notices_wake_once(pair):
    worker, api = pair
    await asyncio.gather(*(api.notify() for _ in range(500)))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        await worker.wait(LONG_S)
    start = time.monotonic()
    await worker.wait(0.1)
    assert time.monotonic() - start >= 0.1


async def test_what_is_notified_after_the_first_knock_of_a_turn_is_knocked_for(tmp_path):
    api = SocketWaker(tmp_path / "safelight.db")
    api._folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(api._folder / "listener"))
        listener.settimeout(5)
        await api.notify()
        assert listener.recv(1) == b"!"
        for _ in range(50):  # Of the same turn: a worker may have looked in between.
            await api.notify()
        await asyncio.sleep(0)
        assert listener.recv(1) == b"!"
        await asyncio.sleep(0.05)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(1)
    shutil.rmtree(api._folder)
    await api.close()


async def test_without_notice_the_timeout_wakes(pair):
    worker, _ = pair
    start = time.monotonic()
    await worker.wait(0.05)
    assert time.monotonic() - start >= 0.05


async def test_all_workers_are_woken(database_url):
    workers = [open_waker(database_url) for _ in range(3)]
    for worker in workers:
        await worker.wait(LONG_S)
    await workers[0].notify()
    async with asyncio.timeout(5):
        await asyncio.gather(*(worker.wait(LONG_S) for worker in workers))
    for worker in workers:
        await worker.close()


async def test_a_waker_that_only_notifies_needs_no_listener(database_url):
    waker = open_waker(database_url)
    await waker.notify()
    await waker.close()


async def test_databases_do_not_wake_each_other(tmp_path):
    one, other = SocketWaker(tmp_path / "one.db"), SocketWaker(tmp_path / "other.db")
    await one.wait(LONG_S)
    await other.notify()
    start = time.monotonic()
    await one.wait(0.05)
    assert time.monotonic() - start >= 0.05
    await one.close()
    await other.close()


# --- Sockets ---


@pytest.fixture
def sockets(monkeypatch) -> Iterator[Path]:
    """A temporary folder of our own, with a path as short as the usual one's."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


async def test_the_folder_is_private_and_goes_away(sockets):
    waker = SocketWaker(sockets / "a.db")
    await waker.wait(LONG_S)
    [folder] = sockets.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(next(folder.iterdir()))) < 150
    await waker.close()
    assert list(sockets.iterdir()) == []


async def test_a_dead_listener_is_swept_away(sockets):
    worker, api = SocketWaker(sockets / "a.db"), SocketWaker(sockets / "a.db")
    await worker.wait(LONG_S)
    [folder] = sockets.iterdir()
    asyncio.get_running_loop().remove_reader(worker._listener)
    worker._listener.close()  # As kill -9 does: the socket's file stays.
    await api.notify()
    assert list(folder.iterdir()) == []
    worker._listener = None
    await worker.close()
    await api.close()


async def test_a_listener_that_was_swept_away_listens_again(sockets):
    worker, api = SocketWaker(sockets / "a.db"), SocketWaker(sockets / "a.db")
    await worker.wait(LONG_S)
    shutil.rmtree(worker._folder)
    async with asyncio.timeout(5):
        await worker.wait(LONG_S)
        await api.notify()
        await worker.wait(LONG_S)
    await worker.close()
    await api.close()


@pytest.mark.parametrize("kind", ["open", "link", "file"])
async def test_somebody_elses_folder_is_not_trusted(sockets, kind):
    waker = SocketWaker(sockets / "a.db")
    elsewhere = sockets / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "precious").touch()
    if kind == "open":
        elsewhere.chmod(0o755)
        elsewhere.rename(waker._folder)
        elsewhere = waker._folder
    elif kind == "link":
        waker._folder.symlink_to(elsewhere)
    else:
        waker._folder.touch()
    start = time.monotonic()
    await waker.wait(0.05)
    await waker.notify()
    assert time.monotonic() - start >= 0.05
    assert [entry.name for entry in elsewhere.iterdir()] == ["precious"]
    await waker.close()


async def test_a_path_too_long_for_a_socket_leaves_the_timeout(sockets, monkeypatch):
    long = sockets / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    waker = SocketWaker(sockets / "a.db")
    start = time.monotonic()
    await waker.wait(0.05)
    assert time.monotonic() - start >= 0.05
    await waker.close()


# --- Postgres ---


async def test_a_lost_line_is_laid_again(postgres_url, tmp_path):
    cable = await Cable.lay(postgres_url, tmp_path)
    worker, api = open_waker(cable.url), open_waker(postgres_url)
    await worker.wait(LONG_S)
    waiting = asyncio.create_task(worker.wait(LONG_S))
    await asyncio.sleep(0.05)
    cable.cut()
    async with asyncio.timeout(5):
        await waiting
    start = time.monotonic()
    await worker.wait(0.05)
    await worker.notify()
    assert time.monotonic() - start >= 0.05
    await cable.mend()
    async with asyncio.timeout(5):
        await worker.wait(LONG_S)  # Listens again, and asks to look at the database.
        waiting = asyncio.create_task(worker.wait(LONG_S))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await api.notify()
        await waiting
    await worker.close()
    await api.close()
    cable.cut()


async def test_a_line_that_went_silent_is_given_up(postgres_url, tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "NOTIFY_TIMEOUT_S", 0.05)
    cable = await Cable.lay(postgres_url, tmp_path)
    worker, api = open_waker(postgres_url), open_waker(cable.url)
    await worker.wait(LONG_S)
    await api.notify()
    cable.freeze()
    async with asyncio.timeout(5):
        await api.notify()  # Lost: the line is silent.
        await worker.wait(LONG_S)
        await api.notify()
        await worker.wait(LONG_S)
    await worker.close()
    await api.close()
    cable.cut()


async def test_notices_at_once_share_one_round_trip(postgres_url):
    waker = open_waker(postgres_url)
    await waker.notify()
    sent = []
    execute = waker._connection.execute

    class Counting:
        def __getattr__(self, name):
            return getattr(connection, name)

        async def execute(self, statement, **options):
            sent.append(statement)
            await execute(statement, **options)

    connection, waker._connection = waker._connection, Counting()
    await asyncio.gather(*(waker.notify() for _ in range(50)))
    assert 1 <= len(sent) <= 2
    waker._connection = connection
    await waker.close()
