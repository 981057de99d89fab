"""How many jobs an account or a key may have running at a time, as a condition of the claim.

Jobs of whoever has reached its limit are passed over. On Postgres, where two claims may look at once, a
trigger of `jobs` counts again, one claim of an account after the other.
"""

from __future__ import annotations

import sqlalchemy as sa

from safelight.db.tables import IN_PROGRESS, accounts, api_keys, jobs

_running = jobs.alias("running")


def may_run(queued: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a queued job's account and key have room for one more."""
    return sa.and_(
        queued.c.account_id.not_in(sa.select(_full_accounts.c.id)),
        sa.or_(queued.c.key_id.is_(None), queued.c.key_id.not_in(sa.select(_full_keys.c.id))),
    )


def _full(table: sa.Table, owner: sa.ColumnElement[str]) -> sa.CTE:
    """The ids that have reached their limit. Few jobs run at a time: they are looked up once a claim."""
    reached = (
        sa.select(table.c.id)
        .join_from(_running, table, owner == table.c.id)
        .where(IN_PROGRESS, table.c.running_jobs.is_not(None))
        .group_by(table.c.id, table.c.running_jobs)
        .having(sa.func.count() >= table.c.running_jobs)
    )
    return reached.cte(f"full_{table.name}").prefix_with("MATERIALIZED")


_full_accounts = _full(accounts, _running.c.account_id)
_full_keys = _full(api_keys, _running.c.key_id)


def holds_back() -> sa.ColumnElement[bool]:
    """Whether others may wait for a job's end: its account or its key has a limit."""
    limited = [
        sa.exists().where(table.c.id == owner, table.c.running_jobs.is_not(None))
        for table, owner in ((accounts, jobs.c.account_id), (api_keys, jobs.c.key_id))
    ]
    return sa.or_(*limited).label("holds_back")
