"""Every statement on the ledger that a job's transition takes along, built once."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from safelight.db.statements import Call, Statement
from safelight.db.tables import BOOKS, Usd, UtcDateTime, balances, jobs, ledger
from safelight.errors import InsufficientCredits
from safelight.jobs import Job, JobStatus
from safelight.texts import Text

_COLUMNS = ["account_id", "job_id", "kind", "source", "target", "amount", "created_at"]
_now = bindparam("now", type_=UtcDateTime)


def _words(kind: str) -> tuple[sa.ColumnElement[str], ...]:
    """An entry's kind, and the two books that follow from it."""
    return tuple(sa.literal_column(f"'{word}'", sa.Text) for word in (kind, *BOOKS[kind]))


def _insert(entries: sa.Select[tuple[str]] | sa.CompoundSelect[tuple[str]]) -> Statement:
    return Statement(sa.insert(ledger).from_select(_COLUMNS, entries).returning(ledger.c.seq))


_amount = bindparam("amount", type_=Usd)
HOLD = _insert(
    sa.select(balances.c.account_id, bindparam("job", type_=sa.Text), *_words("hold"), _amount, _now)
    .where(balances.c.account_id == bindparam("account", type_=sa.Text), balances.c.free >= _amount)
    .with_for_update(key_share=True)  # Two that both find enough for one would spend it twice.
)

_held = ledger.alias("held")
_this = jobs.c.id == bindparam("job", type_=sa.Text)
_completed = jobs.c.status == JobStatus.COMPLETED
_ended = sa.or_(*(jobs.c.status == status for status in JobStatus if status.is_final))
_hold = sa.and_(_held.c.job_id == jobs.c.id, _held.c.kind == "hold")


def _of_hold(
    kind: str, amount: sa.ColumnElement[int], *which: sa.ColumnElement[bool]
) -> sa.Select[tuple[str]]:
    columns = (jobs.c.account_id, jobs.c.id, *_words(kind), amount, _now)
    return sa.select(*columns).join_from(jobs, _held, _hold).where(_this, *which)


# Charge what the job has come to and release the rest; what was never held is waived.
SETTLE = _insert(
    sa.union_all(
        _of_hold("charge", jobs.c.cost, _completed, jobs.c.cost > 0),
        _of_hold("release", _held.c.amount - jobs.c.cost, _ended, _held.c.amount > jobs.c.cost),
        sa.select(jobs.c.account_id, jobs.c.id, *_words("waiver"), jobs.c.cost, _now).where(
            _this, _completed, jobs.c.cost > 0, ~sa.exists().where(_hold)
        ),
    )
)


def hold(job: Job) -> Call:
    """Hold a new job's cost. Undoes the transaction with InsufficientCredits where it is not there."""
    values = {"job": job.id, "account": job.account_id, "amount": job.cost, "now": job.created_at}
    return Call(HOLD, values, lambda: InsufficientCredits(_lacking(job)))


def _lacking(job: Job) -> Text:
    cost = f"{job.cost.normalize():f}"
    return Text(
        f"This request costs up to {cost} credits, which is more than the balance; GET /v1/balance shows it.",
        f"이 요청의 비용은 최대 {cost} 크레딧으로 잔액보다 많습니다. 잔액은 GET /v1/balance에 있습니다.",
    )


def settle(job_id: str) -> Call:
    """Settle a job in the transaction of its end; as long as it has not ended, nothing happens."""
    return Call(SETTLE, {"job": job_id, "now": datetime.now(UTC)})
