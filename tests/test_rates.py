"""Requests per minute, by a clock that the test moves."""

from __future__ import annotations

import pytest

from safelight.accounts.rates import Rates, Window, tightest
from safelight.callers import Account, Caller, Limits
from safelight.errors import RateLimited


def caller(of_account: int | None = None, of_key: int | None = None, key_id: str = "k") -> Caller:
    account = Account("a", "a@b", unmetered=False, limits=Limits(requests_per_minute=of_account))
    return Caller(account, key_id, limits=Limits(requests_per_minute=of_key))


def test_a_window_moves(clock):
    rates, who = Rates(clock), caller(of_key=3)
    for at, left in ((0, 2), (30, 1), (40, 0)):
        clock.now_s = 1000.0 + at
        assert rates.count(who) == [Window(3, left, 60)]
    clock.now_s = 1059.0
    with pytest.raises(RateLimited, match="This key may submit 3") as refused:
        rates.count(who)
    assert refused.value.retry_after_s == 1
    clock.now_s = 1060.0
    assert rates.count(who) == [Window(3, 0, 60)]
    with pytest.raises(RateLimited) as refused:
        rates.count(who)
    assert refused.value.retry_after_s == 30


def test_what_is_refused_does_not_count(clock):
    rates = Rates(clock)
    both, one = caller(of_account=2, of_key=1), caller(of_account=2, key_id="other")
    assert rates.count(both) == [Window(2, 1, 60), Window(1, 0, 60)]
    for _ in range(5):
        with pytest.raises(RateLimited, match="This key"):
            rates.count(both)
    assert rates.count(one) == [Window(2, 0, 60)]
    with pytest.raises(RateLimited, match="This account"):
        rates.count(one)


def test_keys_do_not_count_for_one_another(clock):
    rates = Rates(clock)
    rates.count(caller(of_key=1, key_id="first"))
    rates.count(caller(of_key=1, key_id="second"))


def test_without_limits_nothing_is_counted(clock):
    rates = Rates(clock)
    assert rates.count(caller()) == []
    assert tightest([]) is None
    assert tightest([Window(9, 5, 60), Window(9, 3, 60)]) == Window(9, 3, 60)
