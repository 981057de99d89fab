"""The fair order of the queue: accounts take turns, and within an account the oldest job goes first.

Whose turn it was last, each worker remembers by itself (`turns.py`). So a claim is one look into an index,
however many jobs and accounts wait, and whoever waits is reached within one round of the accounts.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import bindparam

from safelight.db.tables import IN_QUEUE, jobs
from safelight.queue.running_limits import may_run

AHEAD = 8
"""How many jobs of each preferred model are looked at, should other workers be taking the first ones."""

_queued = jobs.alias("queued")
# Written out: where a limit is a bound value, Postgres guesses a tenth of the table.
_NONE, _ONE, _FEW = (sa.literal_column(str(number), sa.Integer) for number in (0, 1, AHEAD))
_Where = sa.ColumnElement[bool]
_Seqs = sa.Select[tuple[int]]

# --- Whose job is next ---


def next_job(models: int, preferred: int = 0) -> sa.ColumnElement[int]:
    """The `seq` of the job to take now, locked on Postgres; null: there is none.

    Values: `model_0` … and `after`, the account whose turn was last. With preferred models: theirs go first,
    in turns of their own: `preferred_0` … and `preferred_after`.
    """
    names = [bindparam(f"model_{number}", type_=sa.Text) for number in range(models)]
    # Not by the index of models: most jobs are of some of them, and it is the turns that are wanted in order.
    model_id = sa.func.coalesce(_queued.c.model_id, sa.literal_column("''"))
    job = _in_turn("after", lambda turn: _oldest(model_id.in_(names), turn))
    if not preferred:
        return job
    first = _in_turn("preferred_after", lambda turn: _oldest_preferred(preferred, turn))
    return sa.func.coalesce(first, job)


def _in_turn(after: str, oldest: Callable[[_Where], _Seqs]) -> sa.ColumnElement[int]:
    """Of the accounts after the last one; where none of them has a job, from the first account on."""
    later = oldest(_queued.c.account_id > bindparam(after, type_=sa.Text))
    # The second is looked for only where the first finds nothing.
    return sa.func.coalesce(later.scalar_subquery(), oldest(sa.true()).scalar_subquery())


def _oldest(*which: _Where) -> _Seqs:
    one = _by_turns(*which).limit(_ONE)
    return one.with_for_update(skip_locked=True)  # SQLite has one writer and leaves this out.


def _oldest_preferred(models: int, turn: _Where) -> _Seqs:
    """The heads of each model come from its index: most jobs of a long queue may be of others."""
    named = [_queued.c.model_id == bindparam(f"preferred_{n}", type_=sa.Text) for n in range(models)]
    heads = [sa.select(_by_turns(name, turn).limit(_FEW).subquery()) for name in named]
    return _oldest(_queued.c.seq.in_(sa.union_all(*heads)))


def _by_turns(*which: _Where) -> _Seqs:
    waiting = sa.select(_queued.c.seq).where(IN_QUEUE, *which, may_run(_queued))
    return waiting.order_by(_queued.c.account_id, _queued.c.seq)


# --- How many go before a job ---


def standing(*which: _Where) -> sa.Select[tuple[str, int | None]]:
    """The `status` of a job, and `ahead`: how many go before it while it is queued, else null.

    Those that its account submitted before it, and of every other account as many; at equal place the older
    one. In truth each worker goes round the accounts from wherever it is, so one job of each account may
    change sides. What is read are the jobs that it counts, and one more of each account.
    """
    before = sa.case((IN_QUEUE, _before())).label("before")  # counted once, since it is materialized
    mine = sa.select(jobs.c.status, jobs.c.seq, before).where(*which).cte("mine").prefix_with("MATERIALIZED")
    waiting = _waiting_accounts()
    theirs = sa.and_(IN_QUEUE, _is_of(waiting.c.account_id))
    is_before = sa.case((_queued.c.seq <= mine.c.seq, _ONE), else_=_NONE)
    equal = sa.select(mine.c.before + is_before).where(theirs).order_by(_queued.c.account_id, _queued.c.seq)
    equal = equal.limit(_ONE).offset(sa.select(mine.c.before).scalar_subquery()).correlate(mine, waiting)
    all_of_them = sa.select(sa.func.count()).select_from(_queued).where(theirs).correlate(waiting)
    share = sa.func.coalesce(equal.scalar_subquery(), all_of_them.scalar_subquery())
    total = sa.select(sa.func.sum(share)).where(waiting.c.account_id.is_not(None)).correlate(mine)
    # The job itself is counted too.
    ahead = sa.cast(total.scalar_subquery(), sa.Integer) - _ONE
    return sa.select(mine.c.status, sa.case((mine.c.before.is_not(None), ahead)).label("ahead"))


def _before() -> sa.ScalarSelect[int]:
    """How many queued jobs the account of the enclosing query's job submitted before it."""
    own = sa.and_(IN_QUEUE, _queued.c.account_id == jobs.c.account_id, _queued.c.seq < jobs.c.seq)
    return sa.select(sa.func.count()).select_from(_queued).where(own).correlate(jobs).scalar_subquery()


def _is_of(account_id: sa.ColumnElement[str]) -> _Where:
    """Equal, in words that leave Postgres no way to walk all jobs by `seq` in place of this account's."""
    return sa.and_(_queued.c.account_id >= account_id, _queued.c.account_id <= account_id)


def _waiting_accounts() -> sa.CTE:
    """The accounts with queued jobs: one step into the index for each; at the end a null."""
    first = sa.select(sa.func.min(_queued.c.account_id).label("account_id")).where(IN_QUEUE)
    known = first.cte("waiting", recursive=True)
    others = sa.and_(IN_QUEUE, _queued.c.account_id > known.c.account_id)
    following = sa.select(sa.func.min(_queued.c.account_id)).where(others).correlate(known).scalar_subquery()
    return known.union_all(sa.select(following).where(known.c.account_id.is_not(None)))
