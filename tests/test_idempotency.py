"""Submitting again under an Idempotency-Key: one job, whatever became of the first answer."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from datetime import timedelta
from urllib.parse import urlsplit

import httpx2
import pytest
import sqlalchemy as sa
from starlette.requests import Request

from safelight.api.wishes import wishes_of
from safelight.db import sqlite
from safelight.db.clock import SteadyClock
from safelight.db.statements import Call
from safelight.db.tables import idempotency_keys, jobs
from safelight.errors import InvalidHeader
from safelight.queue import queries
from safelight.queue.store import KEYS_LAST, Store
from safelight.upkeep.sweep import Sweep
from tests.api_server import NEIGHBOUR_KEY, OWNER_KEY, running_server
from tests.cable import Cable
from tests.test_api_submission import DATA_URI

SUBMIT = "/v1/models/test/instant"
KEY = {"Idempotency-Key": "order 66, first try"}


@pytest.fixture
def served(database_url, tmp_path):
    with running_server(tmp_path / "data", database_url=database_url) as running, running.client() as client:
        yield running, client


def count(server, table=jobs):
    number = sa.select(sa.func.count()).select_from(table)
    return server.do(server.services.database.read(lambda connection: connection.execute(number).scalar()))


def test_the_same_body_gets_the_first_answer_again(served):
    server, client = served
    first = client.post(SUBMIT, json={"prompt": "a tree"}, headers=KEY)
    assert first.status_code == 200
    server.finish(server.claim(first.json()["request_id"]))
    again = client.post(SUBMIT, json={"prompt": "a tree"}, headers=KEY)
    assert (again.status_code, again.json()) == (200, first.json())
    assert count(server) == 1


@pytest.mark.parametrize("path", [SUBMIT, "/v1/models/test/slow"])
def test_another_body_under_the_key_is_422(served, path):
    server, client = served
    client.post(SUBMIT, json={"prompt": "a tree"}, headers=KEY)
    body = {"prompt": "a house" if path == SUBMIT else "a tree"}
    answer = client.post(path, json=body, headers=KEY)
    assert answer.status_code == 422
    assert answer.json()["error_code"] == 422002
    assert answer.json()["error"]["code"] == "idempotency_mismatch"
    assert count(server) == 1


def test_the_same_key_of_two_accounts_gives_two_jobs(served):
    server, client = served
    with server.client(NEIGHBOUR_KEY) as neighbour:
        ids = {
            caller.post(SUBMIT, json={}, headers=KEY).json()["request_id"] for caller in (client, neighbour)
        }
    assert len(ids) == count(server) == 2


def test_what_was_refused_may_be_corrected_under_its_key(served):
    server, client = served
    assert client.post(SUBMIT, json={"seed": "x"}, headers=KEY).status_code == 422
    assert client.post(SUBMIT, json={"seed": 1}, headers=KEY).status_code == 200
    assert count(server) == 1


async def hundred_at_once(server, body):
    headers = {"authorization": f"Bearer {OWNER_KEY}", **KEY}
    limits = httpx2.Limits(max_connections=100)
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=60) as client:
        return await asyncio.gather(*(client.post("/v1/models/test/echo", json=body) for _ in range(100)))


def test_a_hundred_at_once_make_one_job_and_one_file(served):
    server, client = served
    answers = asyncio.run(hundred_at_once(server, {"image_url": DATA_URI}))
    accepted = [answer.json()["request_id"] for answer in answers if answer.status_code == 200]
    refused = {answer.json()["error"]["code"] for answer in answers if answer.status_code != 200}
    assert accepted
    assert len(set(accepted)) == count(server) == 1
    assert refused <= {"idempotency_in_progress"}
    assert len(stored_files(server)) == 1
    again = client.post("/v1/models/test/echo", json={"image_url": DATA_URI}, headers=KEY)
    assert again.json()["request_id"] == accepted[0]


def stored_files(server):
    return [path for path in server.services.settings.files_dir.rglob("*") if path.is_file()]


def test_two_servers_at_once_make_one_job_and_one_file(database_url, tmp_path):
    """Whose key was taken by the other server drops what it has stored."""
    with (
        running_server(tmp_path / "data", database_url=database_url) as one,
        running_server(tmp_path / "data", database_url=database_url) as other,
    ):

        async def both():
            return await asyncio.gather(
                *(hundred_at_once(server, {"image_url": DATA_URI}) for server in (one, other))
            )

        answers = [answer for answers in asyncio.run(both()) for answer in answers]
        ids = {answer.json()["request_id"] for answer in answers if answer.status_code == 200}
        assert len(ids) == count(one) == 1
        assert len(stored_files(one)) == 1


async def test_while_the_first_is_on_its_way_the_others_are_409(server, monkeypatch):
    add, holding, release = server.services.store.add, threading.Event(), threading.Event()

    async def held_add(*arguments):
        holding.set()
        await asyncio.to_thread(release.wait)
        return await add(*arguments)

    monkeypatch.setattr(server.services.store, "add", held_add)
    headers = {"authorization": f"Bearer {OWNER_KEY}", **KEY}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        first = asyncio.create_task(client.post(SUBMIT, json={}))
        await asyncio.to_thread(holding.wait)
        second = await client.post(SUBMIT, json={})
        release.set()
        assert (await first).status_code == 200
        assert (second.status_code, second.json()["error_code"]) == (409, 409001)
        assert second.json()["error"]["code"] == "idempotency_in_progress"
        assert (await client.post(SUBMIT, json={})).json() == (await first).json()


@pytest.mark.parametrize("key", [b" ", b"a\x7fb", b"a\tb", b"a ", "schlüssel".encode()])
def test_what_clients_refuse_to_send_is_refused_too(key):
    scope = {"type": "http", "headers": [(b"idempotency-key", key)]}
    with pytest.raises(InvalidHeader):
        wishes_of(Request(scope))


@pytest.mark.parametrize("key", ["", "a" * 256, "schlüssel".encode()])
def test_a_key_that_makes_no_sense_is_400(client, key):
    answer = client.post(SUBMIT, json={}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["error_code"]) == (400, 400005)
    assert answer.json()["error"]["code"] == "invalid_header"


def test_a_key_that_comes_twice_is_400_and_the_longest_one_is_taken(client):
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    assert client.post(SUBMIT, json={}, headers=twice).status_code == 400
    assert client.post(SUBMIT, json={}, headers={"Idempotency-Key": "a" * 255}).status_code == 200


class Clocks:
    """A wall clock that jumps and a clock that only goes on; the test moves both."""

    def __init__(self):
        self.wall_s, self.elapsed_s = 1.7e9, 0.0

    def steady(self):
        return SteadyClock(lambda: self.wall_s, lambda: self.elapsed_s)


def sweep_of(server):
    known = server.services
    return Sweep(known.store, known.records, known.webhooks, known.files)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_key_is_known_for_a_day_whatever_the_wall_clock_does(served, monkeypatch, jump, sign):
    server, client = served
    clocks = Clocks()
    monkeypatch.setattr(server.services.store, "_clock", clocks.steady())
    first = client.post(SUBMIT, json={}, headers=KEY).json()
    clocks.wall_s += sign * jump.total_seconds()
    clocks.elapsed_s += KEYS_LAST.total_seconds() - 1
    server.do(sweep_of(server).tick())
    assert client.post(SUBMIT, json={}, headers=KEY).json() == first
    clocks.elapsed_s += 2
    server.do(sweep_of(server).tick())
    assert count(server, idempotency_keys) == 0
    assert client.post(SUBMIT, json={}, headers=KEY).json() != first


# --- The connection breaks after the commit -----------------------------------------------------------------


class LosesAnswers:
    """SQLite's own connection, whose next COMMIT happens and is reported as a failure of the disk."""

    def __init__(self, driver):
        self._driver, self._to_lose = driver, 1

    def execute(self, sql, *arguments):
        found = self._driver.execute(sql, *arguments)
        if sql == "COMMIT" and self._to_lose:
            self._to_lose -= 1
            raise sqlite.sqlite.OperationalError("disk I/O error")
        return found

    def __getattr__(self, name):
        return getattr(self._driver, name)


async def in_two_transactions(self, job, files=(), terms=(), receipt=None, webhook=None):
    """What `Store.add` must not do."""
    added = await Store._add(self, job, files, terms)
    if receipt:
        call = {**vars(receipt), "created_at": self._clock.now()}
        await self._database.change(Call(queries.ADD_RECEIPT, call))
    return added


@pytest.fixture(params=["with a key", "without a key", "recorded apart"])
def how(request, monkeypatch):
    """The proof, and its counter-proofs: without the guard the same retry makes two jobs."""
    if request.param == "recorded apart":
        monkeypatch.setattr(Store, "_add", Store.add, raising=False)
        monkeypatch.setattr(Store, "add", in_two_transactions)
    headers = {} if request.param == "without a key" else KEY
    return headers, 1 if request.param == "with a key" else 2


def test_on_sqlite_an_unknown_commit_is_safe_to_retry(sqlite_url, tmp_path, how):
    headers, expected = how
    with running_server(tmp_path / "data", database_url=sqlite_url) as server, server.client() as client:
        client.get("/v1/balance")
        server.services.database._driver = LosesAnswers(server.services.database._driver)
        lost = client.post(SUBMIT, json={}, headers=headers)
        assert (lost.status_code, lost.json()["error"]["code"]) == (503, "unavailable")
        assert count(server) == 1
        assert client.post(SUBMIT, json={}, headers=headers).status_code == 200
        assert count(server) == expected


async def test_on_postgres_an_unknown_commit_is_safe_to_retry(postgres_url, tmp_path, how):
    headers, expected = how
    cable = await Cable.lay(postgres_url, tmp_path)
    serving = running_server(tmp_path / "data", database_url=cable.url)
    server = await asyncio.to_thread(serving.__enter__)
    try:
        bearer = {"authorization": f"Bearer {OWNER_KEY}"}
        async with httpx2.AsyncClient(base_url=server.url, headers=bearer | headers, timeout=30) as client:
            await client.get("/v1/balance")
            # What Postgres says when it has committed: a transaction, or a statement on its own.
            cable.cut_before(b"COMMIT\0" if expected == 1 else b"INSERT 0 1\0")
            lost = await client.post(SUBMIT, json={})
            assert (lost.status_code, lost.json()["error"]["code"]) == (503, "unavailable")
            assert cable.is_cut
            await cable.mend()
            assert await asyncio.to_thread(count, server) == 1
            assert (await client.post(SUBMIT, json={})).status_code == 200
            assert await asyncio.to_thread(count, server) == expected
    finally:
        await asyncio.to_thread(serving.__exit__, None, None, None)
        cable.cut()


@pytest.mark.parametrize("headers", [KEY, {}])
def test_a_client_whose_connection_broke_after_the_commit_retries_safely(served, headers):
    server, client = served
    lines = [f"POST {SUBMIT} HTTP/1.1", "host: x", f"authorization: Bearer {OWNER_KEY}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["content-type: application/json", "content-length: 2", "", "{}"]
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join(lines).encode())
        while not count(server):
            pass
        # A reset, not a farewell.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert client.post(SUBMIT, json={}, headers=headers).status_code == 200
    assert count(server) == (1 if headers else 2)
