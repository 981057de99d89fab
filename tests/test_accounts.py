from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from safelight.accounts.accounts import OWNER_ID, Accounts
from safelight.accounts.keys import Keys, NewKey, new_key
from safelight.callers import Account, Limits
from safelight.db.database import Database
from safelight.errors import NotFound

OWNER = Account(OWNER_ID, "owner@localhost", unmetered=True)


@pytest.fixture
async def empty(database_url):
    """A database in which nobody has an account."""
    database = await Database.open(database_url)
    yield database
    await database.close()


async def account_of(database, key):
    return (await Keys(database).authenticate(key)).account


async def test_the_owner_comes_with_the_first_key(empty):
    assert not await Accounts(empty).has_owner()
    key = new_key()
    await Accounts(empty).ensure_owner(key)
    assert await Accounts(empty).has_owner()
    assert await account_of(empty, key) == OWNER


async def test_two_servers_that_start_at_once_make_one_owner(empty, database_url):
    other = await Database.open(database_url)
    keys = new_key(), new_key()
    await asyncio.gather(Accounts(empty).ensure_owner(keys[0]), Accounts(other).ensure_owner(keys[1]))
    await other.close()
    assert [await account_of(empty, key) for key in keys] == [OWNER, OWNER]


async def test_a_given_key_is_let_in(empty):
    given = "g" * 32
    for _ in range(2):
        await Accounts(empty).ensure_owner(given)
        assert await account_of(empty, given) == OWNER


async def test_a_given_key_joins_an_older_one(empty):
    first = new_key()
    await Accounts(empty).ensure_owner(first)
    await Accounts(empty).ensure_owner("g" * 32)
    assert await account_of(empty, first) == OWNER
    assert await account_of(empty, "g" * 32) == OWNER


async def test_an_account_is_read_back_as_it_was_made(database):
    limits = Limits(60, 10, 2, Decimal("12.5"))
    made = await Accounts(database).create("a@b", limits)
    assert made == Account(made.id, "a@b", unmetered=False, limits=limits)
    assert await Accounts(database).all() == [OWNER, made]
    assert await Accounts(database).get(made.id) == made
    _, token = await Keys(database).create(made.id, NewKey("first"))
    assert await account_of(database, token) == made


async def test_other_limits_hold_at_once(database):
    made = await Accounts(database).create("a@b", Limits(queued_jobs=1))
    _, token = await Keys(database).create(made.id, NewKey("first"))
    changed = await Accounts(database).set_limits(made.id, Limits(running_jobs=3))
    assert changed.limits == Limits(running_jobs=3)
    await asyncio.sleep(0)
    assert await account_of(database, token) == changed


async def test_there_is_no_unknown_account(database):
    with pytest.raises(NotFound):
        await Accounts(database).get("nobody")
    with pytest.raises(NotFound):
        await Accounts(database).set_limits("nobody", Limits())
