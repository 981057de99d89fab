"""Whose turn it is: what a worker asks of the queue next, from what it has taken before.

A worker goes round the accounts that have jobs waiting and takes one job of each. Loading a model costs what
several pictures do, so it first goes on with the models that are in memory, again round the accounts; but
after every few of those claims, the next account's oldest job is taken, whatever its model. So everybody
waits at most MAX_OVERTAKING + 1 claims of each worker for every account in front.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from safelight.jobs import Job, new_id

MAX_OVERTAKING = 8
"""Claims in a row that may prefer what is in memory."""


@dataclass(frozen=True)
class Turn:
    """What a claim asks for. after: the account whose turn was last.

    preferred_ids: models whose jobs go first, those of the accounts after `preferred_after` before others.
    """

    after: str = ""
    preferred_ids: tuple[str, ...] = ()
    preferred_after: str = ""


FIRST_TURN = Turn()


class Turns:
    """One worker's memory of whose turn it was."""

    def __init__(self) -> None:
        # Wherever an id like an account's falls: workers that start again and again must not favour anybody.
        self._last = Turn(after=new_id(), preferred_after=new_id())
        self._overtaking = 0  # claims since the last that did not prefer any model

    def next(self, claimable_ids: Sequence[str], resident_ids: Collection[str]) -> Turn:
        """What to ask for, with these models in memory."""
        preferred = tuple(name for name in claimable_ids if name in resident_ids)
        if self._overtaking >= MAX_OVERTAKING or len(preferred) == len(claimable_ids):
            preferred = ()
        return Turn(self._last.after, preferred, self._last.preferred_after)

    def note(self, asked: Turn, job: Job) -> None:
        """Remember what was given for what was asked."""
        self._overtaking = self._overtaking + 1 if asked.preferred_ids else 0
        # An overtaking job is not its account's turn: with the same few accounts in front each time, the
        # round of all accounts would go past the others.
        after = asked.after if job.model_id in asked.preferred_ids else job.account_id
        self._last = Turn(after=after, preferred_after=job.account_id)
