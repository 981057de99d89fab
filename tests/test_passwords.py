"""Passwords in the database: what proves one, what a change ends, and how often one may be guessed."""

from __future__ import annotations

import asyncio
import threading
import unicodedata

import argon2
import pytest
import sqlalchemy as sa
from argon2.profiles import RFC_9106_LOW_MEMORY

from safelight.accounts import passwords as module
from safelight.accounts.accounts import OWNER_EMAIL, OWNER_ID, Accounts
from safelight.accounts.guesses import OF_A_NAME, OF_A_NETWORK, SPAN_S, Guesses, network_of
from safelight.accounts.keys import Keys
from safelight.accounts.passwords import AT_ONCE, Passwords
from safelight.accounts.rates import Recent
from safelight.accounts.sessions import Sessions
from safelight.db.tables import passwords as table
from safelight.db.tables import sessions as session_table
from safelight.errors import InvalidInput, NotFound, RateLimited, Unauthorized

KEY = "k" * 32
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
PASSWORD, OTHER = "붉은 집 위의 눈 four words", "another four words here"


@pytest.fixture
def passwords(database):
    return Passwords(database)


@pytest.fixture
def sessions(database):
    return Sessions(database, Keys(database))


@pytest.fixture
async def owner(database):
    return await Accounts(database).get(OWNER_ID)


def cheap_hash(password: str) -> str:
    """A true hash that takes no time, for what a test begins with."""
    return argon2.PasswordHasher(1, 8, 1).hash(unicodedata.normalize("NFKC", password))


@pytest.fixture
def cheap(monkeypatch):
    """Hashes that take no time, where a test is about other things."""
    monkeypatch.setattr(module, "_HASHER", argon2.PasswordHasher(1, 8, 1))
    monkeypatch.setattr(module, "_NOBODYS", cheap_hash("nobody's"))


async def goes_on(sessions: Sessions, token: str) -> bool:
    try:
        await sessions.caller_of(token)
    except Unauthorized:
        return False
    return True


async def test_a_password_proves_whose_it_is_however_a_keyboard_writes_it(
    passwords, sessions, owner, database
):
    assert await passwords.set_at(OWNER_ID) is None
    await passwords.change(owner, PASSWORD, None, "")
    taken_apart = unicodedata.normalize("NFD", PASSWORD)
    assert taken_apart != PASSWORD
    proven = await passwords.prove(f" {OWNER_EMAIL.upper()} ", taken_apart, HERE)
    caller = await sessions.caller_of(await sessions.begin_with_password(proven))
    by_code = await sessions.caller_of(await sessions.begin_with_code(await sessions.new_code(OWNER_ID)))
    assert caller == by_code
    [row] = await database.read(lambda connection: connection.execute(sa.select(table)).all())
    assert row.hash.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in str(row)


async def test_every_refusal_is_the_same_after_the_same_work(passwords, owner, database, monkeypatch):
    """Of a name that is none, of an unknown one, of an account without a password, of a wrong one."""
    await Accounts(database).create("none@example.org")
    await passwords.reset(owner, PASSWORD)
    work = []
    fits = module._fits
    monkeypatch.setattr(module, "_fits", lambda known, given: work.append(known) or fits(known, given))
    told = []
    for email in ("\0", "nobody@example.org", "none@example.org", OWNER_EMAIL):
        with pytest.raises(Unauthorized) as refused:
            await passwords.prove(email, OTHER, HERE)
        told.append(vars(refused.value))
    assert told == [told[0]] * 4
    assert [argon2.extract_parameters(known) for known in work] == [RFC_9106_LOW_MEMORY] * 4


async def test_a_change_ends_the_accounts_other_sessions(passwords, sessions, owner, database, cheap):
    await passwords.reset(owner, PASSWORD)
    proven = await passwords.prove(OWNER_EMAIL, PASSWORD, HERE)
    mine, other = [await sessions.begin_with_password(proven) for _ in range(2)]
    by_key = await sessions.begin_with_key(KEY)
    neighbour = await Accounts(database).create("ann@example.org")
    theirs = await sessions.begin_with_code(await sessions.new_code(neighbour.id))
    await passwords.change(owner, OTHER, proven, mine)
    ended = {token: not await goes_on(sessions, token) for token in (mine, other, by_key, theirs)}
    assert ended == {mine: False, other: True, by_key: True, theirs: False}
    await passwords.reset(owner, None)
    assert not await goes_on(sessions, mine)
    assert await goes_on(sessions, theirs)
    with pytest.raises(Unauthorized):
        await passwords.prove(OWNER_EMAIL, OTHER, HERE)


async def test_no_session_begins_with_a_password_that_was_changed_meanwhile(
    passwords, sessions, owner, cheap
):
    await passwords.reset(owner, PASSWORD)
    proven = await passwords.prove(OWNER_EMAIL, PASSWORD, HERE)
    await passwords.reset(owner, PASSWORD)
    with pytest.raises(Unauthorized):
        await sessions.begin_with_password(proven)


async def test_of_a_login_and_a_change_at_once_no_session_is_left_behind(
    passwords, sessions, owner, database, cheap
):
    for _ in range(5):
        await passwords.reset(owner, PASSWORD)
        proven = await passwords.prove(OWNER_EMAIL, PASSWORD, HERE)
        logins = (sessions.begin_with_password(proven) for _ in range(4))
        await asyncio.gather(*logins, passwords.reset(owner, OTHER), return_exceptions=True)
        left = sa.select(sa.func.count()).select_from(session_table)
        assert await database.read(lambda connection, left=left: connection.scalar(left)) == 0


async def test_a_change_needs_the_password_of_now(passwords, sessions, owner, cheap):
    await passwords.change(owner, PASSWORD, None, "")
    session = await sessions.begin_with_key(KEY)
    stale = await passwords.prove(OWNER_EMAIL, PASSWORD, HERE)
    await passwords.change(owner, OTHER, stale, session)
    for proof in (None, stale):
        for wanted in (PASSWORD, None):
            with pytest.raises(Unauthorized):
                await passwords.change(owner, wanted, proof, "")
    assert await goes_on(sessions, session)
    assert (await passwords.prove(OWNER_EMAIL, OTHER, HERE)).account_id == OWNER_ID


async def test_of_two_accounts_with_one_address_one_may_have_a_password(passwords, database, cheap):
    ann, twin = [await Accounts(database).create(email) for email in ("ann@example.org", "Ann@Example.org")]
    await passwords.change(ann, PASSWORD, None, "")
    with pytest.raises(InvalidInput, match="another account with the same e-mail address"):
        await passwords.change(twin, OTHER, None, "")
    assert (await passwords.prove("ann@example.org", PASSWORD, HERE)).account_id == ann.id
    await passwords.reset(ann, None)
    await passwords.change(twin, OTHER, None, "")
    assert (await passwords.prove("ann@example.org", OTHER, HERE)).account_id == twin.id


async def test_two_first_passwords_at_once_are_one(passwords, owner, cheap):
    both = (passwords.change(owner, wanted, None, "") for wanted in (PASSWORD, OTHER))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "Unauthorized"]


async def test_there_is_no_password_without_an_account(passwords, owner, cheap):
    stranger = type(owner)("nobody", "nobody@example.org", unmetered=False)
    with pytest.raises(NotFound):
        await passwords.reset(stranger, PASSWORD)


async def test_few_are_computed_at_a_time_beside_the_event_loop_and_many_do_not_wait(passwords, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNDER_WAY", 5)
    running, may_end, threads = threading.Semaphore(0), threading.Event(), set()

    def slow(known: str, given: str) -> bool:
        threads.add(threading.get_ident())
        running.release()
        may_end.wait(60)
        return False

    monkeypatch.setattr(module, "_fits", slow)
    tries = [asyncio.create_task(passwords.prove(f"{n}@example.org", OTHER, HERE)) for n in range(5)]
    for _ in range(AT_ONCE):
        assert await asyncio.to_thread(running.acquire, timeout=60)
    async with asyncio.timeout(60):
        while passwords._under_way < len(tries):  # each looks its name up before it waits
            await asyncio.sleep(0.01)
    with pytest.raises(RateLimited, match="Many are logging in"):
        await passwords.prove(OWNER_EMAIL, OTHER, HERE)
    assert not running.acquire(blocking=False)
    assert len(threads) == AT_ONCE
    assert threading.get_ident() not in threads
    may_end.set()
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unauthorized}


# --- Guessing -------------------------------------------------------------------------------------------


@pytest.fixture
def guesses(clock) -> Guesses:
    return Guesses(clock)


def guess(guesses: Guesses, name: str, address: str, *, right: bool = False) -> None:
    """Try a password. Raises RateLimited when it is not even looked at."""
    try:
        with guesses.counted(name, address):
            if not right:
                raise Unauthorized
    except Unauthorized:
        return


def test_a_name_is_tried_so_often_from_wherever(guesses, clock):
    for number in range(OF_A_NAME):
        clock.now_s += 1
        guess(guesses, "ann", f"192.0.2.{number}")
    for right in (False, True):
        with pytest.raises(RateLimited, match="Try again in 15 minutes") as refused:
            guess(guesses, "ann", ELSEWHERE, right=right)
    assert refused.value.retry_after_s == SPAN_S - OF_A_NAME + 1
    assert "15분 뒤에" in refused.value.text.ko
    guess(guesses, "bob", ELSEWHERE)
    clock.now_s += SPAN_S - OF_A_NAME
    with pytest.raises(RateLimited, match="Try again in 1 minute\\."):
        guess(guesses, "ann", ELSEWHERE)
    clock.now_s += 1
    guess(guesses, "ann", ELSEWHERE)


def test_a_network_tries_so_often_whatever_names(guesses):
    for number in range(OF_A_NETWORK):
        guess(guesses, f"{number}@example.org", f"2001:db8::{number:x}")
    with pytest.raises(RateLimited):
        guess(guesses, "ann", "2001:db8::ffff:1")
    guess(guesses, "ann", "2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", ""),
        ("x" * 9000, ""),
    ],
)
def test_an_address_counts_with_its_network(address, network):
    assert network_of(address) == network


def test_what_turns_out_right_or_is_never_judged_is_no_guess(guesses):
    for _ in range(2 * OF_A_NETWORK):
        guess(guesses, "ann", HERE, right=True)
        with pytest.raises(KeyError), guesses.counted("ann", HERE):
            raise KeyError
    for _ in range(OF_A_NAME):
        guess(guesses, "ann", HERE)
    with pytest.raises(RateLimited):
        guess(guesses, "ann", HERE)


def test_a_guess_counts_from_its_beginning(guesses):
    under_way = [guesses.counted("ann", HERE) for _ in range(OF_A_NAME)]
    for one in under_way:
        one.__enter__()
    with pytest.raises(RateLimited):
        guess(guesses, "ann", HERE)
    for one in under_way:
        one.__exit__(None, None, None)
    guess(guesses, "ann", HERE)


def test_what_is_long_ago_is_forgotten():
    recent = Recent(60)
    for number in range(1000):
        recent.add(f"name {number}", float(number))
    assert len(recent) == 60
