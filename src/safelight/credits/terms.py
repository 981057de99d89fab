"""On which terms a job is accepted: what is asked of the database in the transaction that adds it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from safelight.callers import Caller, Limits
from safelight.credits.statements import hold
from safelight.db.statements import Call, Statement
from safelight.db.tables import IN_QUEUE, Usd, UtcDateTime, accounts, jobs
from safelight.errors import InsufficientCredits, RateLimited
from safelight.jobs import Job
from safelight.texts import Text

RETRY_S = 5
"""What is advised to whoever has too many jobs in the queue."""


def terms_of(caller: Caller, job: Job) -> list[Call]:
    """The calls that keep the limits of a job's account and key, and hold what it costs.

    They undo the transaction with RateLimited or InsufficientCredits.
    """
    limits = [
        *_within("account", job.account_id, caller.account.limits, job),
        *_within("key", caller.key_id, caller.limits, job),
    ]
    # Two submissions of one account that count at once would both find room: one after the other.
    turn = [Call(_TURN, {"account": job.account_id})] if limits else []
    held = [hold(job)] if job.cost and not caller.account.unmetered else []
    return [*turn, *limits, *held]


def _within(whose: str, owner: str | None, limits: Limits, job: Job) -> list[Call]:
    """What holds an account or a key within its limits; the job itself is counted already."""
    calls: list[Call] = []
    known = {"owner": owner, "account": job.account_id}
    if (most := limits.queued_jobs) is not None:
        calls.append(Call(_QUEUE[whose], {**known, "most": most}, lambda: _crowded(whose, most)))
    if (credits := limits.monthly_credits) is not None:
        values = {**known, "most": credits, "since": _month(job.created_at)}
        calls.append(Call(_MONTH[whose], values, lambda: _spent(whose, f"{credits.normalize():f}")))
    return calls


_IN_KOREAN = {"account": "계정", "key": "키"}


def _crowded(whose: str, most: int) -> RateLimited:
    return RateLimited(
        Text(
            f"This {whose} may have {most} requests in the queue, and has; send more when some have begun.",
            f"이 {_IN_KOREAN[whose]}은(는) 대기열에 요청을 {most}개까지 둘 수 있고, 이미 다 찼습니다. "
            "일부가 시작된 뒤에 보내 주세요.",
        ),
        retry_after_s=RETRY_S,
    )


def _spent(whose: str, most: str) -> InsufficientCredits:
    return InsufficientCredits(
        Text(
            f"This {whose} may spend {most} credits in a calendar month (UTC); "
            "this request would exceed that.",
            f"이 {_IN_KOREAN[whose]}은(는) 한 달(UTC)에 {most} 크레딧까지 쓸 수 있고, "
            "이 요청은 그것을 넘습니다.",
        )
    )


def _month(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


_of_account = jobs.c.account_id == bindparam("account", type_=sa.Text)
_OWNERS = {"account": sa.true(), "key": jobs.c.key_id == bindparam("owner", type_=sa.Text)}
_waiting = sa.select(sa.func.count()).select_from(jobs).where(IN_QUEUE, _of_account)
# A job that came to nothing costs nothing; one under way counts with what it may cost.
_used = sa.select(sa.func.coalesce(sa.func.sum(jobs.c.cost), 0)).where(
    _of_account, jobs.c.created_at >= bindparam("since", type_=UtcDateTime)
)


def _at_most(amount: sa.Select[Any], most: sa.ColumnElement[Any]) -> Statement:
    return Statement(sa.select(sa.literal_column("1").label("fits")).where(amount.scalar_subquery() <= most))


_TURN = Statement(
    sa.select(accounts.c.id)
    .where(accounts.c.id == bindparam("account", type_=sa.Text))
    .with_for_update(key_share=True)
)
_QUEUE = {
    whose: _at_most(_waiting.where(mine), bindparam("most", type_=sa.Integer))
    for whose, mine in _OWNERS.items()
}
_MONTH = {whose: _at_most(_used.where(mine), bindparam("most", type_=Usd)) for whose, mine in _OWNERS.items()}
