from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from safelight.accounts.accounts import OWNER_ID
from safelight.db import migrations, sqlite
from safelight.db.database import Database
from safelight.db.sqlite import SqliteDatabase
from safelight.db.statements import Call, Statement
from safelight.db.tables import REVISION, accounts, metadata
from safelight.errors import SettingsError, StorageFull, Unavailable
from tests.cable import Cable

RENAME = sa.update(accounts).where(accounts.c.id == OWNER_ID)
EMAIL = sa.select(accounts.c.email).where(accounts.c.id == OWNER_ID)
RENAME_CALL = Statement(RENAME.values(email=sa.bindparam("address")).returning(accounts.c.id))
MISS = Statement(sa.update(accounts).where(sa.false()).values(email="x").returning(accounts.c.id))


async def email(database: Database) -> str:
    return await database.read(lambda connection: connection.scalars(EMAIL).one())


def rename(address: str):
    return lambda connection: connection.execute(RENAME.values(email=address))


# --- Both databases ---


async def test_the_migrations_make_the_tables_that_the_queries_use(database):
    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert await database.read(differences) == []


def test_the_newest_migration_is_the_one_a_start_asks_for():
    folder = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert folder.get_current_head() == REVISION


async def test_several_may_open_a_new_database_at_once(new_database_url):
    opened = await asyncio.gather(*(Database.open(new_database_url) for _ in range(4)))
    for database in opened:
        assert await database.read(migrations.current) == REVISION
        await database.close()


def run_script(script: str, *arguments: str) -> str:
    """Run it in a process of its own that treats warnings as errors. Returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.strip()


def test_a_current_database_opens_without_alembic(new_database_url):
    script = """
import asyncio, sys
from safelight.db.database import Database
async def main():
    await (await Database.open(sys.argv[1])).close()
asyncio.run(main())
print("alembic" in sys.modules)
"""
    assert run_script(script, new_database_url) == "True"
    assert run_script(script, new_database_url) == "False"


async def test_a_write_is_read_back(database):
    await database.write(rename("a@b"))
    assert await email(database) == "a@b"


async def test_a_write_that_raises_changes_nothing(database):
    before = await email(database)

    def broken(connection):
        rename("half@way")(connection)
        raise KeyError("mistake")

    with pytest.raises(KeyError):
        await database.write(broken)
    assert await email(database) == before


async def test_a_change_whose_guard_finds_nothing_leaves_the_rest_out(database):
    before = await email(database)
    assert await database.change(Call(MISS, {}), Call(RENAME_CALL, {"address": "too@far"})) is None
    assert await email(database) == before


async def test_a_change_is_all_or_nothing(database):
    before = await email(database)
    broken = Statement(sa.update(accounts).values(email=sa.null()).returning(accounts.c.id))
    with pytest.raises(Exception, match=r"(?i)not.null"):
        await database.change(Call(RENAME_CALL, {"address": "half@way"}), Call(broken, {}))
    assert await email(database) == before


async def test_a_write_goes_on_when_its_caller_is_cancelled(database):
    task = asyncio.create_task(database.write(rename("still@done")))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):  # Or it is done already.
        await task
    await database.write(lambda connection: None)
    for _ in range(100):
        if await email(database) == "still@done":
            return
        await asyncio.sleep(0.01)
    pytest.fail("the write is gone")


async def test_a_study_reads_what_was_written(database):
    await database.write(rename("a@b"))
    assert await database.study(lambda connection: connection.scalars(EMAIL).one()) == "a@b"


async def test_writes_at_once_all_arrive(database):
    def count(connection):
        address = connection.scalars(EMAIL.with_for_update()).one()
        rename(str(int(address) + 1))(connection)

    await database.write(rename("0"))
    await asyncio.gather(*(database.write(count) for _ in range(30)))
    assert await email(database) == "30"


async def test_another_scheme_is_refused():
    with pytest.raises(SettingsError):
        await Database.open("mysql://somewhere")


async def test_closing_twice_is_fine(database_url):
    database = await Database.open(database_url)
    await database.close()
    await database.close()


# --- SQLite ---


@pytest.fixture
async def file(sqlite_url):
    """An open SQLite database with a table of numbers."""
    database = await Database.open(sqlite_url)
    await database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE numbers (n UNIQUE)"))
    yield database
    await database.close()


def insert(number: int):
    return lambda connection: connection.exec_driver_sql("INSERT INTO numbers VALUES (?)", (number,))


async def numbers(database: Database) -> list[int]:
    found = await database.read(lambda connection: connection.exec_driver_sql("SELECT n FROM numbers").all())
    return [n for (n,) in found]


def pragma(name: str):
    return lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar()


async def test_commits_reach_the_disk(file):
    for ask in (file.read, file.write):
        assert await ask(pragma("synchronous")) == 2
        assert await ask(pragma("foreign_keys")) == 1
        assert await ask(pragma("journal_mode")) == "wal"


async def test_an_older_sqlite_keeps_a_rollback_journal(sqlite_url, monkeypatch):
    monkeypatch.setattr(sqlite, "sqlite", sqlite3)
    monkeypatch.setattr(sqlite, "SAFE_WAL", (99,))
    database = await Database.open(sqlite_url)
    for ask in (database.read, database.write):
        assert await ask(pragma("synchronous")) == 2
        assert await ask(pragma("journal_mode")) == "persist"
    await asyncio.gather(*(database.write(lambda connection: None) for _ in range(5)))
    await database.close()


def of_a_slow_disk(database: SqliteDatabase) -> None:
    """Make it hand its next writes to the thread, all in one batch."""
    database._commit_s = 1.0


@pytest.fixture
def commits(file: SqliteDatabase):
    """The COMMITs made from here on."""
    made: list[str] = []
    file._driver.set_trace_callback(lambda statement: statement == "COMMIT" and made.append(statement))
    yield made
    file._driver.set_trace_callback(None)


async def test_writes_asked_for_together_share_a_commit(file, commits):
    await asyncio.gather(*(file.write(insert(n)) for n in range(50)))
    assert len(commits) <= 2  # The first of a quiet time goes alone.
    await asyncio.gather(*(file.write(insert(n)) for n in range(50, 100)))
    assert len(commits) <= 3
    assert len(await numbers(file)) == 100


async def test_writes_that_come_during_a_commit_share_the_next(file, commits):
    started, disk = threading.Event(), threading.Event()

    def slow(connection):
        started.set()
        disk.wait()

    of_a_slow_disk(file)
    first = [asyncio.create_task(file.write(slow)) for _ in range(2)]
    while not started.is_set():
        await asyncio.sleep(0.001)
    later = []
    for n in range(20):
        later.append(asyncio.create_task(file.write(insert(n))))
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)  # The last one is on its way to the thread, too.
    disk.set()
    await asyncio.gather(*first, *later)
    assert len(commits) == 2


async def test_a_lone_write_on_a_fast_disk_needs_no_thread(file):
    used = []
    file._commit_s = 0.0
    await file.write(lambda connection: used.append(threading.current_thread()))
    of_a_slow_disk(file)
    await file.write(lambda connection: used.append(threading.current_thread()))
    assert used == [threading.main_thread(), file._thread]


async def test_a_task_that_writes_in_a_row_lets_others_have_a_turn(file):
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count_turns())
    for n in range(20):
        file._commit_s = 0.0
        await file.write(insert(n))
    assert turns >= 10
    counting.cancel()


async def test_a_failing_write_does_not_hurt_its_neighbours(file, commits):
    await file.write(insert(3))
    del commits[:]
    outcomes = await asyncio.gather(*(file.write(insert(n)) for n in range(6)), return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [n == 3 for n in range(6)]
    assert isinstance(outcomes[3], sa.exc.IntegrityError)
    assert len(commits) <= 2
    assert sorted(await numbers(file)) == [0, 1, 2, 3, 4, 5]


async def test_a_cancelled_caller_does_not_hurt_its_neighbours(file):
    of_a_slow_disk(file)
    tasks = [asyncio.create_task(file.write(insert(n))) for n in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(await numbers(file)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("writers", [1, 5])
async def test_a_failed_commit_is_everybodys(file, writers):
    def violate(connection):  # A deferred check fails only when the transaction commits.
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        columns = "sha256, id, prefix, account_id, name, scopes, created_at"
        values = "x'00', 'i', 'p', 'nobody', 'n', '', '2000-01-01'"
        connection.exec_driver_sql(f"INSERT INTO api_keys ({columns}) VALUES ({values})")

    of_a_slow_disk(file)
    writes = [file.write(violate), *(file.write(insert(n)) for n in range(1, writers))]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * writers
    assert await numbers(file) == []
    await file.write(insert(1))
    assert await numbers(file) == [1]


@pytest.mark.parametrize("writers", [1, 5])
async def test_a_full_disk_is_told_apart_and_changes_nothing(file, writers):
    pages = await file.write(pragma("page_count"))
    await file.write(pragma(f"max_page_count = {pages}"))
    of_a_slow_disk(file)
    large = [file.write(lambda c: c.exec_driver_sql("INSERT INTO numbers VALUES (zeroblob(99999))"))]
    writes = [*large, *(file.write(insert(n)) for n in range(1, writers))]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageFull] * writers
    assert await numbers(file) == []
    await file.write(pragma(f"max_page_count = {pages + 100}"))
    await file.write(insert(1))
    assert await numbers(file) == [1]


@pytest.fixture
def other_writer(file, sqlite_url):
    """A second connection that is in the middle of a write."""
    connection = sqlite.sqlite.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


async def test_a_write_waits_for_another_process_without_blocking_the_loop(file, other_writer):
    write = asyncio.create_task(file.write(insert(1)))
    await asyncio.sleep(0.05)
    assert await numbers(file) == []
    other_writer.execute("COMMIT")
    await write
    assert await numbers(file) == [1]


async def test_a_write_waits_its_turn_behind_what_the_thread_holds(file, other_writer):
    used = []
    of_a_slow_disk(file)
    first = asyncio.create_task(file.write(insert(1)))
    await asyncio.sleep(0.05)
    file._commit_s = 0.0
    other_writer.execute("COMMIT")
    await file.write(lambda connection: used.append(threading.current_thread()))
    assert used == [file._thread]
    await first


async def test_a_database_locked_for_long_is_unavailable(file, other_writer, monkeypatch):
    monkeypatch.setattr(sqlite, "WRITE_TIMEOUT_S", 0.01)
    with pytest.raises(Unavailable) as caught:
        await file.write(insert(1))
    assert caught.value.retry_after_s
    other_writer.execute("ROLLBACK")
    await file.write(insert(1))


async def test_too_many_waiting_writes_are_refused(file, other_writer, monkeypatch):
    monkeypatch.setattr(sqlite, "MAX_WAITING", 5)
    writes = [asyncio.create_task(file.write(insert(n))) for n in range(8)]
    await asyncio.sleep(0.01)
    other_writer.execute("COMMIT")
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Unavailable) == 3
    assert len(await numbers(file)) == 5


async def test_a_study_holds_up_nobody_but_the_next_study(file):
    begun, go_on = threading.Event(), threading.Event()

    def count(connection):
        return connection.exec_driver_sql("SELECT count(*) FROM numbers").scalar_one()

    def study(connection):
        begun.set()
        return count(connection), go_on.wait(5), count(connection)

    first, second = (asyncio.create_task(file.study(work)) for work in (study, count))
    await asyncio.to_thread(begun.wait)
    await file.write(insert(1))
    assert await numbers(file) == [1]
    assert not second.done()
    go_on.set()
    _, was_told, after = await first
    assert was_told
    assert after == await second == 1


async def test_closing_finishes_what_was_asked_for(sqlite_url):
    database = await Database.open(sqlite_url)
    write = asyncio.create_task(
        database.write(lambda c: c.exec_driver_sql("CREATE TABLE made_at_the_end (n)"))
    )
    await asyncio.sleep(0)
    await database.close()
    await write
    with pytest.raises(Unavailable):
        await database.write(lambda connection: None)
    connection = sqlite.sqlite.connect(sqlite_url.removeprefix("sqlite:///"))
    assert connection.execute("SELECT * FROM made_at_the_end").fetchall() == []
    connection.close()


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        await Database.open(f"sqlite:///{tmp_path}/no/folder/here.db")


# --- Postgres ---


async def test_postgres_may_go_away_and_come_back(postgres_url, tmp_path):
    cable = await Cable.lay(postgres_url, tmp_path)
    database = await Database.open(cable.url)
    await database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE numbers (n INT)"))
    add = Statement(sa.insert(sa.table("numbers", sa.column("n"))).values(n=1).returning(sa.column("n")))
    await database.change(Call(add, {}))
    cable.cut()
    for attempt in (
        lambda: database.change(Call(add, {})),
        lambda: database.write(lambda connection: None),
        lambda: database.read(lambda connection: None),
        lambda: database.rows(add, {}),
    ):
        with pytest.raises(Unavailable) as caught:
            await attempt()
        assert caught.value.retry_after_s
    await cable.mend()
    await database.change(Call(add, {}))
    assert await numbers(database) == [1, 1]
    await database.close()
    cable.cut()


async def test_commits_of_postgres_reach_the_disk(postgres_url):
    database = await Database.open(postgres_url)
    asked = Statement(sa.select(sa.func.current_setting("synchronous_commit").label("value")))
    [row] = await database.rows(asked, {})
    assert row.value == "on"
    await database.close()


async def test_a_server_that_does_not_know_the_database_is_a_wrong_setting(postgres_server):
    url = postgres_server.replace("/postgres?", "/no_such_database?")
    with pytest.raises(SettingsError, match=r"SAFELIGHT_DATABASE_URL.*no_such_database"):
        await Database.open(url)


def test_a_closed_database_leaves_nothing_open(database_url):
    script = """
import asyncio, sys
from safelight.accounts.accounts import Accounts
from safelight.accounts.keys import Keys
from safelight.db.database import Database
async def main():
    database = await Database.open(sys.argv[1])
    await Accounts(database).ensure_owner("k" * 32)
    print((await Keys(database).authenticate("k" * 32)).account.id)
    await database.close()
asyncio.run(main())
"""
    assert run_script(script, database_url) == OWNER_ID
