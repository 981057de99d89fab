"""Workers on the list, and off it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from safelight.db.tables import workers
from safelight.errors import Unavailable
from safelight.queue import attendance
from safelight.queue.attendance import Attendance


@pytest.fixture
def listed(database) -> Attendance:
    return Attendance(database)


async def _until(condition) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_a_worker_is_listed_while_it_attends(listed, monkeypatch):
    monkeypatch.setattr(attendance, "LOOK_S", 0.01)
    resident: set[str] = set()

    async def says(*models: str) -> bool:
        return [one.resident for one in await listed.all()] == [models]

    async with listed.attending("worker-1", "GPU 0", lambda: resident):
        await _until(says)
        first = (await listed.all())[0]
        assert (first.id, first.device, first.is_silent(datetime.now(UTC))) == ("worker-1", "GPU 0", False)
        resident |= {"b", "a"}
        await _until(lambda: says("a", "b"))
        again = (await listed.all())[0]
        assert again.started_at == first.started_at <= again.seen_at
    assert await listed.all() == []


async def test_one_that_died_is_silent_and_then_forgotten(listed, database):
    await listed.say("dead", "cpu", [])
    found = (await listed.all())[0]
    assert found.is_silent(datetime.now(UTC) + timedelta(minutes=1))
    long_ago = datetime.now(UTC) - timedelta(days=2)
    old = sa.update(workers).values(seen_at=long_ago)
    await database.write(lambda connection: connection.execute(old).close())
    assert await listed.all() == []
    await listed.say("new", "cpu", [])
    names = await database.read(
        lambda connection: connection.execute(sa.select(workers.c.id)).scalars().all()
    )
    assert names == ["new"]


async def test_a_database_that_is_away_stops_no_worker(listed, database, monkeypatch):
    tries = asyncio.Event()

    async def away(function):
        tries.set()
        raise Unavailable

    monkeypatch.setattr(attendance, "LOOK_S", 0.01)
    monkeypatch.setattr(database, "write", away)
    async with listed.attending("worker-1", "cpu", lambda: ()):
        await asyncio.wait_for(tries.wait(), 30)
    assert await listed.all() == []
