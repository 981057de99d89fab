"""A metered account, and a fault at any step of its submission: one job and one hold, or neither."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import httpx2
import pytest
import sqlalchemy as sa

from safelight.credits.ledger import Balance, Ledger
from safelight.db.database import Database
from safelight.db.tables import jobs, ledger
from safelight.errors import StorageFull
from safelight.jobs import JobStatus
from safelight.queue.store import Store
from tests.api_server import NEIGHBOUR_ID, NEIGHBOUR_KEY, running_server
from tests.cable import Cable
from tests.dying import REPORT
from tests.jobs import MODEL, NoWaker
from tests.money import COST, account_with, submit

SUBMIT = "/v1/models/test/instant"
CREDITS = 4 * COST
PAGE_BYTES = 4096


async def accepted(database: Database) -> list[str]:
    """The ids of all jobs that were held for. No job is without its hold, nor a hold without its job."""
    assert await Ledger(database).audit() == []
    held = sa.select(ledger.c.job_id).where(ledger.c.kind == "hold").order_by(ledger.c.job_id)
    known = sa.select(jobs.c.id).order_by(jobs.c.id)
    holds, ids = await database.read(
        lambda connection: [connection.scalars(query).all() for query in (held, known)]
    )
    assert holds == ids
    return ids


# --- The connection to the database is cut ----------------------------------------------------------------


async def holding_apart(self, job, files=(), terms=(), receipt=None, webhook=None):
    """What `Store.add` must not do."""
    added = await Store._add(self, job, files, (), receipt, webhook)
    for call in terms:
        await self._database.change(call)
    return added


async def cut_while_submitting(url, folder, words, nth):
    """Submit, cut when Postgres says these words for the nth time, and submit again."""
    cable = await Cable.lay(url, folder)
    prices = {"default": {"usd": str(COST)}}
    serving = running_server(folder / "data", database_url=cable.url, pricing=prices)
    server = await asyncio.to_thread(serving.__enter__)
    try:
        database = await Database.open(url)
        await Ledger(database).grant(NEIGHBOUR_ID, CREDITS)
        headers = {"authorization": f"Bearer {NEIGHBOUR_KEY}", "Idempotency-Key": "one"}
        async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
            await client.get("/v1/balance")
            cable.cut_before(words, nth)
            lost = await client.post(SUBMIT, json={})
            assert (lost.status_code, lost.json()["error"]["code"]) == (503, "unavailable")
            assert cable.is_cut
            there = len(await accepted(database))
            await cable.mend()
            again = await client.post(SUBMIT, json={})
        assert await accepted(database) == [again.json()["request_id"]]
        assert await Ledger(database).balance(NEIGHBOUR_ID) == Balance(CREDITS - COST, COST)
        await database.close()
        return there
    finally:
        await asyncio.to_thread(serving.__exit__, None, None, None)
        cable.cut()


# Before the transaction, after the key, after the job, after the hold, after the commit.
STEPS = [(b"BEGIN\0", 1, 0), *((b"INSERT 0 1\0", nth, 0) for nth in (1, 2, 3)), (b"COMMIT\0", 1, 1)]


@pytest.mark.parametrize(("words", "nth", "there"), STEPS)
async def test_a_connection_cut_at_any_step_leaves_a_job_and_its_hold_or_neither(
    postgres_url, tmp_path, words, nth, there
):
    assert await cut_while_submitting(postgres_url, tmp_path, words, nth) == there


async def test_with_the_hold_in_a_transaction_of_its_own_a_cut_leaves_a_job_without_it(
    postgres_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(Store, "_add", Store.add, raising=False)
    monkeypatch.setattr(Store, "add", holding_apart)
    with pytest.raises(AssertionError):
        await cut_while_submitting(postgres_url, tmp_path, b"COMMIT\0", 1)


# --- The disk is full -------------------------------------------------------------------------------------


async def test_a_disk_that_fills_up_leaves_every_job_with_its_hold(tiny_disk):
    database = await Database.open(f"sqlite:///{tiny_disk / 'safelight.db'}")
    payer = await account_with(database, 1000 * COST)
    store, room = Store(database, NoWaker()), tiny_disk / "room"
    room.write_bytes(bytes(300_000))  # What is left is for some jobs, and for the log of the database.
    added = await submit_until_full(store, payer)
    assert added
    for _ in range(16):  # A page more at a time: the disk is full again at every step of a submission.
        os.truncate(room, room.stat().st_size - PAGE_BYTES)
        with suppress(StorageFull):
            added.append((await submit(store, payer)).id)
        assert await accepted(database) == sorted(added)
    room.unlink()
    held = len(added) * COST
    assert await Ledger(database).balance(payer.id) == Balance(1000 * COST - held, held)
    # With room again it goes on, and what was held is charged.
    await submit(store, payer)
    job = await store.claim("worker", [MODEL])
    assert await store.complete(job, [], [], REPORT)
    assert (await Ledger(database).balance(payer.id)).held == held
    assert len(await accepted(database)) == len(added) + 1
    await database.close()


async def submit_until_full(store, payer):
    """Submit five at a time, until there is no room for one. Returns the ids of those that were accepted."""
    added = []
    while True:
        tries = (submit(store, payer, input={"prompt": "x" * 2000}) for _ in range(5))
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        refusals = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        added += [job.id for job in outcomes if job not in refusals]
        if refusals:
            assert {type(refusal) for refusal in refusals} == {StorageFull}
            return added


# --- The process is killed --------------------------------------------------------------------------------


async def test_a_process_killed_at_any_step_leaves_a_job_and_its_hold_or_neither(database_url, database):
    payer = await account_with(database, CREDITS)
    store, books = Store(database, NoWaker()), Ledger(database)
    with dying(database_url, payer.id) as die:
        for survived in (1, 2):  # The job, and its hold; then the commit.
            die("submit", survived)
            assert await accepted(database) == []
            assert await books.balance(payer.id) == Balance(CREDITS)
        die("submit", 3)
        [job_id] = await accepted(database)
        for survived in (1, 2):  # The end of the job, and its charge; then the commit.
            die("complete", survived)
            assert await accepted(database) == [job_id]
            assert await books.balance(payer.id) == Balance(CREDITS - COST, COST)
            [lost] = await store.in_progress()
            await store.requeue_lost(*lost)
        die("complete", 3)
    assert (await store.get(job_id, payer.id)).status is JobStatus.COMPLETED
    assert await books.balance(payer.id) == Balance(CREDITS - COST)


@contextmanager
def dying(url, account_id):
    """A process whose children die: tell what of, and after how many statements of its transaction."""
    command = [sys.executable, "-m", "tests.dying", url, account_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def die(work, survived):
            print(work, survived, file=process.stdin, flush=True)
            assert int(process.stdout.readline()) == signal.SIGKILL

        yield die
