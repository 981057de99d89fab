"""The proof of the books: what must hold at every moment, read from the tables alone."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import BOOKS, Usd, accounts, balances, jobs, ledger
from safelight.jobs import JobStatus

MAX_FINDINGS = 100


def audit(connection: Connection) -> list[str]:
    """Return a sentence for everything that is wrong, at most MAX_FINDINGS; nothing: the books are right."""
    return [*_wrong_balances(connection), *_overdrawn(connection), *_wrong_jobs(connection)][:MAX_FINDINGS]


def _change(book: str) -> sa.ColumnElement[Decimal]:
    """What an entry does to a book."""
    gives, takes = ledger.c.target == book, ledger.c.source == book
    return sa.case((gives, ledger.c.amount), (takes, -ledger.c.amount), else_=sa.literal(0, Usd))


def _sum(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Decimal]:
    return sa.type_coerce(sa.cast(sa.func.coalesce(sa.func.sum(value), 0), sa.BigInteger), Usd)


def _wrong_balances(connection: Connection) -> Iterable[str]:
    """The balance is the sum."""
    sums = sa.select(ledger.c.account_id, _sum(_change("free")), _sum(_change("held")))
    computed = {row[0]: (row[1], row[2]) for row in connection.execute(sums.group_by(ledger.c.account_id))}
    kept = {row.account_id: (row.free, row.held) for row in connection.execute(sa.select(balances))}
    nothing = (Decimal(0), Decimal(0))
    for account_id in sorted(computed.keys() | kept.keys()):
        is_sum, is_kept = (found.get(account_id, nothing) for found in (computed, kept))
        if is_sum != is_kept:
            yield f"account {account_id}: entries make {_pair(is_sum)}, the balance says {_pair(is_kept)}"


def _pair(amounts: tuple[Decimal, Decimal]) -> str:
    return f"{amounts[0]} free and {amounts[1]} held"


def _overdrawn(connection: Connection) -> Iterable[str]:
    """No book of an account has ever been below zero."""
    for book in ("free", "held"):
        running = sa.func.sum(_change(book)).over(partition_by=ledger.c.account_id, order_by=ledger.c.seq)
        after = sa.select(ledger.c.account_id, ledger.c.seq, running.label("left")).subquery()
        first = sa.func.min(after.c.seq).label("seq")
        query = sa.select(after.c.account_id, first).where(after.c.left < 0).group_by(after.c.account_id)
        for account_id, seq in connection.execute(query):
            yield f"account {account_id}: less than nothing was {book} after entry {seq}"


def _wrong_jobs(connection: Connection) -> Iterable[str]:
    """Every job is held for, charged and released once, by what it has come to."""
    amounts = [
        _sum(sa.case((ledger.c.kind == kind, ledger.c.amount), else_=sa.literal(0, Usd))).label(kind)
        for kind in _OF_JOBS
    ]
    counts = [_count(ledger.c.kind == kind).label(f"{kind}s") for kind in _OF_JOBS]
    strangers = _count(ledger.c.account_id != jobs.c.account_id).label("strangers")
    query = (
        sa.select(jobs.c.id, jobs.c.status, jobs.c.cost, accounts.c.unmetered, *amounts, *counts, strangers)
        .join_from(jobs, accounts)
        .outerjoin(ledger, ledger.c.job_id == jobs.c.id)
        .where(sa.or_(jobs.c.cost > 0, ledger.c.seq.is_not(None)))
        .group_by(jobs.c.seq, jobs.c.id, jobs.c.status, jobs.c.cost, accounts.c.unmetered)
    )
    for row in connection.execute(query):
        for wrong in _faults(row):
            yield f"job {row.id} ({row.status}): {wrong}"


_OF_JOBS = [kind for kind in BOOKS if kind not in ("grant", "withdrawal")]


def _count(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.count(sa.case((which, 1)))


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
