"""On which terms a job is accepted: what is asked of the database in the transaction that adds it."""

from __future__ import annotations

from safelight.callers import Caller
from safelight.jobs import Job
from safelight.ledger_statements import hold
from safelight.statements import Call


def terms_of(caller: Caller, job: Job) -> list[Call]:
    """The calls that hold what a job costs. They undo the transaction with InsufficientCredits."""
    return [hold(job)] if job.cost and not caller.account.unmetered else []
