from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from safelight.accounts import OWNER_ID, Account, Accounts, new_key
from safelight.database import Database
from safelight.errors import Unauthorized
from safelight.tables import accounts, api_keys

OWNER = Account(OWNER_ID, "owner@localhost", unmetered=True)


@pytest.fixture
async def empty(database_url):
    """A database in which nobody has an account."""
    database = await Database.open(database_url)
    yield database
    await database.close()


def test_a_key_has_256_random_bits():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("sl_") and len(key) == 3 + 43 for key in keys)


async def test_the_owner_comes_with_the_first_key(empty):
    assert not await Accounts(empty).has_owner()
    key = new_key()
    await Accounts(empty).ensure_owner(key)
    assert await Accounts(empty).has_owner()
    assert await Accounts(empty).authenticate(key) == OWNER


async def test_two_servers_that_start_at_once_make_one_owner(empty, database_url):
    other = await Database.open(database_url)
    keys = new_key(), new_key()
    await asyncio.gather(Accounts(empty).ensure_owner(keys[0]), Accounts(other).ensure_owner(keys[1]))
    await other.close()
    assert [await Accounts(empty).authenticate(key) for key in keys] == [OWNER, OWNER]


async def test_a_given_key_is_let_in(empty):
    given = "g" * 32
    for _ in range(2):
        await Accounts(empty).ensure_owner(given)
        assert await Accounts(empty).authenticate(given) == OWNER


async def test_a_given_key_joins_an_older_one(empty):
    first = new_key()
    await Accounts(empty).ensure_owner(first)
    await Accounts(empty).ensure_owner("g" * 32)
    assert await Accounts(empty).authenticate(first) == OWNER
    assert await Accounts(empty).authenticate("g" * 32) == OWNER


async def test_keys_of_one_prefix_are_told_apart(database):
    await Accounts(database).ensure_owner("same-prefix,first-key," + "1" * 10)
    with pytest.raises(Unauthorized):
        await Accounts(database).authenticate("same-prefix,first-key," + "2" * 10)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "k" * 31,
        "k" * 33,
        "K" * 32,
        "k" * 32 + "\n",
        "\ud800" * 32,
        "\x00" * 32,
        "키" * 32,
        "k" * 100_000,
    ],
)
async def test_an_unknown_token_is_refused(database, token):
    with pytest.raises(Unauthorized):
        await Accounts(database).authenticate(token)


async def test_a_revoked_key_is_refused_like_an_unknown_one(database):
    revoked = sa.update(api_keys).values(revoked_at=datetime.now(UTC))
    await database.write(lambda connection: connection.execute(revoked))
    with pytest.raises(Unauthorized) as refused:
        await Accounts(database).authenticate("k" * 32)
    with pytest.raises(Unauthorized) as unknown:
        await Accounts(database).authenticate("u" * 32)
    assert refused.value.message == unknown.value.message
    await Accounts(database).ensure_owner("k" * 32)
    with pytest.raises(Unauthorized):
        await Accounts(database).authenticate("k" * 32)


async def test_requests_of_one_turn_share_one_look_and_the_next_turn_looks_again(database, monkeypatch):
    keys, looks, rows = Accounts(database), [], database.rows

    async def counted(*asked):
        looks.append(asked)
        return await rows(*asked)

    monkeypatch.setattr(database, "rows", counted)
    for _ in range(5):
        await keys.authenticate("k" * 32)
    assert len(looks) == 1
    revoked = sa.update(api_keys).values(revoked_at=datetime.now(UTC))
    await database.write(lambda connection: connection.execute(revoked))
    await asyncio.sleep(0)
    with pytest.raises(Unauthorized):
        await keys.authenticate("k" * 32)


async def test_the_database_keeps_no_key(database):
    key = "k" * 32
    row = await database.read(lambda connection: connection.execute(sa.select(api_keys)).one())
    assert row.sha256 == hashlib.sha256(key.encode()).digest()
    assert row.prefix == key[:8]
    assert all(key not in str(value) for value in row)


async def test_a_key_opens_its_own_account(database):
    def add(connection):
        now = datetime.now(UTC)
        connection.execute(
            sa.insert(accounts).values(id="second", email="a@b", unmetered=False, created_at=now)
        )
        key = {"sha256": hashlib.sha256(b"s" * 32).digest(), "prefix": "s" * 8, "account_id": "second"}
        connection.execute(sa.insert(api_keys).values(**key, created_at=now))

    await database.write(add)
    assert await Accounts(database).authenticate("s" * 32) == Account("second", "a@b", unmetered=False)
