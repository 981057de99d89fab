from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from safelight.accounts.accounts import OWNER_ID, Accounts
from safelight.accounts.keys import Keys, NewKey, new_key
from safelight.callers import ALL_SCOPES, Limits, Scope
from safelight.db.tables import api_keys
from safelight.errors import NotFound, Unauthorized


def test_a_key_has_256_random_bits():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("sl_") and len(key) == 3 + 43 for key in keys)


async def test_keys_of_one_prefix_are_told_apart(database):
    await Accounts(database).ensure_owner("same-prefix,first-key," + "1" * 10)
    with pytest.raises(Unauthorized):
        await Keys(database).authenticate("same-prefix,first-key," + "2" * 10)


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
        await Keys(database).authenticate(token)


async def test_a_revoked_key_is_refused_like_an_unknown_one(database):
    revoked = sa.update(api_keys).values(revoked_at=datetime.now(UTC))
    await database.write(lambda connection: connection.execute(revoked))
    with pytest.raises(Unauthorized) as refused:
        await Keys(database).authenticate("k" * 32)
    with pytest.raises(Unauthorized) as unknown:
        await Keys(database).authenticate("u" * 32)
    assert refused.value.message == unknown.value.message
    await Accounts(database).ensure_owner("k" * 32)
    with pytest.raises(Unauthorized):
        await Keys(database).authenticate("k" * 32)


async def test_requests_of_one_turn_share_one_look_and_the_next_turn_looks_again(database, monkeypatch):
    keys, looks, rows = Keys(database), [], database.rows

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


async def test_a_key_carries_what_it_may(database):
    wanted = NewKey("ci", frozenset({Scope.SUBMIT}), Limits(queued_jobs=5, monthly_credits=Decimal("0.25")))
    made, token = await Keys(database).create(OWNER_ID, wanted)
    caller = await Keys(database).authenticate(token)
    assert (caller.account.id, caller.key_id) == (OWNER_ID, made.id)
    assert (caller.scopes, caller.limits) == (wanted.scopes, wanted.limits)
    first = await Keys(database).authenticate("k" * 32)
    assert (first.scopes, first.limits) == (ALL_SCOPES, Limits())


async def test_a_key_is_listed_as_it_was_made(database):
    until = datetime(2031, 1, 2, tzinfo=UTC)
    wanted = NewKey("ci", frozenset({Scope.READ}), Limits(1, 2, 3, Decimal("0.25")), until)
    made, token = await Keys(database).create(OWNER_ID, wanted)
    assert (made.name, made.scopes, made.limits, made.expires_at) == (
        "ci",
        wanted.scopes,
        wanted.limits,
        until,
    )
    assert made.prefix == token[:8]
    first, second = await Keys(database).all_of(OWNER_ID)
    assert (first.name, second) == ("first key", made)


@pytest.mark.parametrize("zone", [UTC, datetime.now().astimezone().tzinfo])
async def test_an_expired_key_is_refused_like_an_unknown_one(database, zone):
    for hours, is_valid in ((-1, False), (1, True)):
        until = datetime.now(zone) + timedelta(hours=hours)
        _, token = await Keys(database).create(OWNER_ID, NewKey("brief", expires_at=until))
        if is_valid:
            assert await Keys(database).authenticate(token)
        else:
            with pytest.raises(Unauthorized):
                await Keys(database).authenticate(token)


async def test_a_key_is_revoked_once(database):
    made, token = await Keys(database).create(OWNER_ID, NewKey("leaked"))
    ended = await Keys(database).revoke(made.id, OWNER_ID)
    assert ended.revoked_at
    assert await Keys(database).revoke(made.id) == ended
    with pytest.raises(Unauthorized):
        await Keys(database).authenticate(token)


async def test_nobody_revokes_another_accounts_key(database):
    other = await Accounts(database).create("a@b")
    made, token = await Keys(database).create(OWNER_ID, NewKey("mine"))
    for key_id in (made.id, "unknown"):
        with pytest.raises(NotFound):
            await Keys(database).revoke(key_id, other.id)
    assert await Keys(database).authenticate(token)
