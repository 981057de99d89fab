"""The proof of the books: what must hold at every moment, read from the tables alone.

Each question is one statement, and so sees one moment: the proof can be made while requests are paid for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain, islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import BOOKS, ENDED, UNFINISHED, Usd, accounts, balances, jobs, ledger
from safelight.jobs import JobStatus

MAX_FINDINGS = 100
JOBS_AT_A_TIME = 50_000


def audit(connection: Connection) -> list[str]:
    """Return a sentence for everything that is wrong, at most MAX_FINDINGS; nothing: the books are right."""
    everything = chain(_wrong_balances(connection), _overdrawn(connection), _wrong_jobs(connection))
    return list(islice(everything, MAX_FINDINGS))


def _wrong_balances(connection: Connection) -> Iterator[str]:
    """The balance is the sum."""
    for row in connection.execute(_OFF).all():
        yield (
            f"account {row.account_id}: the entries make {row.free} free and {row.held} held "
            "more than the balance says"
        )


def _overdrawn(connection: Connection) -> Iterator[str]:
    """No book of an account has ever been below zero."""
    for row in connection.execute(_BELOW_ZERO).all():
        yield f"account {row.account_id}: less than nothing was free or held after entry {row.seq}"


def _wrong_jobs(connection: Connection) -> Iterator[str]:
    """Every job is held for, charged and released once, by what it has come to."""
    newest = connection.scalar(sa.select(sa.func.max(jobs.c.seq))) or 0
    for after in range(0, newest, JOBS_AT_A_TIME):
        for row in connection.execute(_WRONG_JOBS, {"after": after}).all():
            yield from (f"job {row.id} ({row.status}): {wrong}" for wrong in _faults(row))


def _faults(job: Any) -> Iterable[str]:
    if max(job.holds, job.charges, job.releases, job.waivers) > 1:
        yield "has two entries of one kind"
    if job.strangers:
        yield "has an entry of another account"
    if not JobStatus(job.status).is_final:
        if job.charge or job.release or job.waiver:
            yield "is settled before its end"
        if job.hold != job.cost and (job.hold or not job.unmetered):
            yield f"costs {job.cost}, held are {job.hold}"
        return
    if job.hold != job.charge + job.release:
        yield f"held were {job.hold}, charged {job.charge}, released {job.release}"
    spent = job.charge + job.waiver
    if job.status == JobStatus.COMPLETED and spent != job.cost:
        yield f"costs {job.cost}, charged or waived were {spent}"
    if job.status != JobStatus.COMPLETED and spent:
        yield f"was charged {spent} for nothing"


# --- The questions ----------------------------------------------------------------------------------------


def _change(book: str) -> sa.ColumnElement[Decimal]:
    """What an entry does to a book."""
    gives, takes = ledger.c.target == book, ledger.c.source == book
    return sa.case((gives, ledger.c.amount), (takes, -ledger.c.amount), else_=sa.literal(0, Usd))


def _sum(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Decimal]:
    return sa.type_coerce(sa.cast(sa.func.coalesce(sa.func.sum(value), 0), sa.BigInteger), Usd)


def _count(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.count(sa.case((which, 1)))


_change_of = {book: _change(book).label(book) for book in ("free", "held")}

_sides = sa.union_all(
    sa.select(ledger.c.account_id, *_change_of.values()),
    sa.select(balances.c.account_id, -balances.c.free, -balances.c.held),
).subquery()
_left = {book: _sum(_sides.c[book]).label(book) for book in _change_of}
_OFF = (
    sa.select(_sides.c.account_id, *_left.values())
    .group_by(_sides.c.account_id)
    .having(sa.or_(*(sa.func.sum(_sides.c[book]) != 0 for book in _change_of)))
    .order_by(_sides.c.account_id)
    .limit(MAX_FINDINGS)
)

_of_account = sa.select(
    ledger.c.account_id,
    ledger.c.seq,
    *(
        sa.func.sum(change).over(partition_by=ledger.c.account_id, order_by=ledger.c.seq).label(book)
        for book, change in _change_of.items()
    ),
).subquery()
_BELOW_ZERO = (
    sa.select(_of_account.c.account_id, sa.func.min(_of_account.c.seq).label("seq"))
    .where(sa.or_(*(_of_account.c[book] < 0 for book in _change_of)))
    .group_by(_of_account.c.account_id)
    .order_by(_of_account.c.account_id)
    .limit(MAX_FINDINGS)
)

_OF_JOBS = [kind for kind in BOOKS if kind not in ("grant", "withdrawal")]
_amount = {
    kind: _sum(sa.case((ledger.c.kind == kind, ledger.c.amount), else_=sa.literal(0, Usd)))
    for kind in _OF_JOBS
}
_times = {kind: _count(ledger.c.kind == kind) for kind in _OF_JOBS}
_strangers = _count(ledger.c.account_id != jobs.c.account_id)
_spent = _amount["charge"] + _amount["waiver"]
_is_unfinished_right = sa.and_(
    _spent + _amount["release"] == 0,
    sa.or_(_amount["hold"] == jobs.c.cost, sa.and_(_amount["hold"] == 0, accounts.c.unmetered)),
)
_is_ended_right = sa.and_(
    _amount["hold"] == _amount["charge"] + _amount["release"],
    _spent == sa.case((jobs.c.status == JobStatus.COMPLETED, jobs.c.cost), else_=sa.literal(0, Usd)),
)
_is_right = sa.and_(
    _strangers == 0,
    *(times <= 1 for times in _times.values()),
    sa.or_(sa.and_(ENDED, _is_ended_right), sa.and_(UNFINISHED, _is_unfinished_right)),
)
# What is right is left out by the database: reading it here would take fifty times as long.
_WRONG_JOBS = (
    sa.select(
        *(jobs.c.id, jobs.c.status, jobs.c.cost, accounts.c.unmetered, _strangers.label("strangers")),
        *(amount.label(kind) for kind, amount in _amount.items()),
        *(times.label(f"{kind}s") for kind, times in _times.items()),
    )
    .join_from(jobs, accounts)
    .outerjoin(ledger, ledger.c.job_id == jobs.c.id)
    .where(jobs.c.seq.between(sa.bindparam("after") + 1, sa.bindparam("after") + JOBS_AT_A_TIME))
    .group_by(jobs.c.seq, jobs.c.id, jobs.c.status, jobs.c.cost, accounts.c.unmetered)
    .having(sa.not_(_is_right))
    .order_by(jobs.c.seq)
    .limit(MAX_FINDINGS)
)
