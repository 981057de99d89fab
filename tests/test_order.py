"""The fair order: accounts take turns, nobody starves, and a queue of ten thousand is read in few steps."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from safelight.db.database import Database
from safelight.db.tables import accounts, jobs
from safelight.queue import queries
from safelight.queue.rows import row_of
from safelight.queue.store import Store
from safelight.queue.turns import FIRST_TURN, MAX_OVERTAKING, Turn, Turns
from tests.jobs import MODEL, new_job

NAMES = [f"account-{number}" for number in range(10)]
LONG = 10_000


@pytest.fixture
async def queue(store, database):
    """The queue, for ten accounts that pay for nothing."""
    await add_accounts(database)
    return store


async def add_accounts(database: Database) -> None:
    now = datetime.now(UTC)
    rows = [{"id": name, "email": "", "unmetered": True, "created_at": now} for name in NAMES]
    await database.write(lambda connection: connection.execute(sa.insert(accounts), rows))


async def fill(database: Database, *submitted: tuple[str, str]) -> list[str]:
    """Queue jobs of (account, model), in this order. Returns their ids."""
    added = [new_job(account_id=account, model_id=model) for account, model in submitted]
    rows = [row_of(job) for job in added]
    await database.write(lambda connection: connection.execute(sa.insert(jobs), rows))
    return [job.id for job in added]


async def take(store: Store, claims: int, models: list[str], turns: Turns, resident: str = "") -> list[str]:
    """Claim so many jobs as one worker does. Returns whose they were."""
    owners = []
    for _ in range(claims):
        turn = turns.next(models, {resident})
        job = await store.claim("worker", models, turn)
        assert job
        turns.note(turn, job)
        owners.append(job.account_id)
    return owners


async def positions(store: Store, ids: list[str], owners: list[str]) -> list[int | None]:
    return [(await store.standing(i, o)).ahead for i, o in zip(ids, owners, strict=True)]


async def test_accounts_take_turns(queue, database):
    a, b, c = NAMES[:3]
    await fill(database, *[(a, MODEL)] * 4, *[(b, MODEL)] * 2, (c, MODEL))
    owners = await take(queue, 7, [MODEL], Turns())
    assert Counter(owners[:3]) == {a: 1, b: 1, c: 1}
    assert Counter(owners[3:5]) == {a: 1, b: 1}
    assert owners[5:] == [a, a]


async def test_within_an_account_the_oldest_goes_first(queue, database):
    a, b = NAMES[:2]
    ids = await fill(database, (b, MODEL), (a, MODEL), (b, MODEL), (a, MODEL))
    taken = [await queue.claim("worker", [MODEL], Turn(after=a)) for _ in range(4)]
    assert [job.id for job in taken] == [ids[0], ids[2], ids[1], ids[3]]


async def test_who_comes_late_waits_one_round(queue, database):
    a, *others = NAMES
    await fill(database, *[(a, MODEL)] * 50)
    turns = Turns()
    await take(queue, 10, [MODEL], turns)
    await fill(database, *[(name, MODEL) for name in others])
    owners = await take(queue, 10, [MODEL], turns)
    assert Counter(owners) == dict.fromkeys(NAMES, 1)


async def test_models_in_memory_go_first_and_the_others_are_still_reached(queue, database):
    cold, *hot = NAMES
    # With these numbers a round of all claims together would meet the same accounts at every fair claim.
    hot = hot[:3]
    await fill(database, (cold, "a/cold"), *[(name, "a/hot") for name in hot] * 40)
    owners = await take(queue, 4 * (MAX_OVERTAKING + 1), ["a/hot", "a/cold"], Turns(), resident="a/hot")
    assert owners[:MAX_OVERTAKING] == [name for name in owners[:MAX_OVERTAKING] if name in hot]
    assert cold in owners
    shares = Counter(owners)
    assert max(shares[name] for name in hot) - min(shares[name] for name in hot) <= 2


async def test_the_position_counts_who_goes_before_in_rounds(queue, database):
    a, b, c = NAMES[:3]
    owners = [a, a, a, b, c, b, a]
    ids = await fill(database, *[(name, MODEL) for name in owners])
    assert await positions(queue, ids, owners) == [0, 3, 5, 1, 2, 4, 6]
    await queue.cancel(ids[1], a)
    assert await positions(queue, ids, owners) == [0, None, 3, 1, 2, 4, 5]


@pytest.mark.parametrize("seed", [1, 5])
async def test_the_position_is_right_but_for_one_job_of_each_other_account(queue, database, seed):
    chance = random.Random(seed)
    owners = [chance.choice(NAMES[: seed + 2]) for _ in range(60)]
    ids = await fill(database, *[(name, MODEL) for name in owners])
    told = dict(zip(ids, await positions(queue, ids, owners), strict=True))
    seen = Counter()
    ranks = [seen.update([name]) or seen[name] for name in owners]
    in_order = sorted(range(60), key=lambda at: (ranks[at], at))
    assert [told[ids[at]] for at in in_order] == list(range(60))
    turns = Turns()
    for before in range(60):
        turn = turns.next([MODEL], ())
        job = await queue.claim("worker", [MODEL], turn)
        turns.note(turn, job)
        assert abs(told[job.id] - before) < len(set(owners))


# --- Ten thousand queued jobs ---


FLOOD = """
INSERT INTO jobs
(id, account_id, model_id, input, status, attempt, cost, cancel_requested, heartbeats, created_at)
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9999)
SELECT 'job-' || n, 'account-' || CASE WHEN n < 9910 THEN 0 ELSE 1 + (n - 9910) / 10 END, 'a/model', '{}',
'in_queue', 0, 0, FALSE, 0, CURRENT_TIMESTAMP FROM numbers ORDER BY n
"""


async def flood(database: Database) -> None:
    """Queue 9910 jobs of the first account, then ten each of the nine others: `job-0` … `job-9999`."""
    await database.write(lambda connection: connection.exec_driver_sql(FLOOD))


@pytest.mark.proof
async def test_every_account_advances_behind_a_flood(queue, database):
    await flood(database)
    ends, owners = ["job-9999", "job-9909"], [NAMES[-1], NAMES[0]]
    assert await positions(queue, ends, owners) == [99, LONG - 1]
    assert Counter(await take(queue, 30, [MODEL], Turns())) == dict.fromkeys(NAMES, 3)
    assert await positions(queue, ends, owners) == [69, LONG - 31]
    # What all of this rests on is the memory of turns.
    starving = [(await queue.claim("worker", [MODEL], FIRST_TURN)).account_id for _ in range(30)]
    assert set(starving) == {NAMES[0]}


TURN = {
    "worker": "w",
    "now": datetime.now(UTC),
    "model_0": "a",
    "model_1": "b",
    "after": "x",
    "preferred_0": "a",
    "preferred_after": "x",
}


@pytest.mark.parametrize(
    ("statement", "values", "searches"),
    [
        (queries.STANDING, {"job": "x", "account": "y"}, {"jobs_by_turns (account_id>? AND account_id<?)"}),
        (
            queries.claim(2),
            TURN,
            {"jobs_by_turns (account_id>?)"},
        ),
        (
            queries.claim(2, 1),
            TURN,
            {"jobs_of_model_by_turns (model_id=? AND account_id>?)", "jobs_by_turns (account_id>?)"},
        ),
    ],
)
async def test_sqlite_reads_the_queue_from_its_indexes_alone(sqlite_url, statement, values, searches):
    database = await Database.open(sqlite_url)

    def explain(connection):
        compiled = statement.on(connection.dialect)
        explanation = f"EXPLAIN QUERY PLAN {compiled.sql}"
        return [row[3] for row in connection.exec_driver_sql(explanation, tuple(compiled.arguments(values)))]

    plan = await database.read(explain)
    assert searches <= {step.split("COVERING INDEX ")[-1] for step in plan}, plan
    assert not [step for step in plan if step.startswith("SCAN queued") and "COVERING INDEX" not in step], (
        plan
    )
    await database.close()


async def test_postgres_reads_a_few_rows_of_a_long_queue(postgres_url):
    database = await Database.open(postgres_url)
    await add_accounts(database)
    await flood(database)
    await database.write(lambda connection: connection.exec_driver_sql("ANALYZE jobs"))
    values = {"worker": "w", "now": datetime.now(UTC), "after": NAMES[3], "preferred_after": NAMES[3]}
    values |= {"model_0": MODEL, "model_1": "a/rare", "preferred_0": "a/rare"}

    def explain(connection, preferred):
        compiled = queries.claim(2, preferred).on(connection.dialect)
        explanation = f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled.sql}"
        return connection.exec_driver_sql(explanation, tuple(compiled.arguments(values))).scalar()

    for preferred in (0, 1):
        [plan] = await database.write(lambda connection, some=preferred: explain(connection, some))
        assert sum(map(rows_read, steps(plan["Plan"]))) < 50
    await database.close()


def steps(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from steps(part)


def rows_read(step) -> float:
    """How many rows of the table a step of a plan looked at."""
    if "Scan" not in step["Node Type"]:
        return 0
    return (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]


def test_a_worker_that_starts_again_begins_anywhere():
    assert Turns().next(["a", "b"], ()) != Turns().next(["a", "b"], ())


def test_a_preference_for_all_models_is_none():
    assert Turns().next(["a", "b"], {"a", "b"}).preferred_ids == ()


def test_after_some_overtaking_nothing_is_preferred():
    turns, job = Turns(), replace(new_job(), model_id="a")
    asked = []
    for _ in range(MAX_OVERTAKING + 2):
        asked.append(turns.next(["a", "b"], {"a"}))
        turns.note(asked[-1], job)
    assert [turn.preferred_ids for turn in asked] == [("a",)] * MAX_OVERTAKING + [(), ("a",)]
