"""Who is told when a request moves on: subscriptions, what is to be delivered, and what became of it.

A trigger writes an event in the transaction that moves the job, so none is missed, whatever moves it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from safelight.db.clock import STEADY, SteadyClock
from safelight.db.database import Database
from safelight.db.statements import Call, Statement
from safelight.db.tables import (
    BIG,
    PENDING,
    UtcDateTime,
    webhook_attempts,
    webhook_events,
    webhook_secrets,
    webhooks,
)
from safelight.jobs import JobStatus

BACKOFF_S = (10, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 21600, 36000)
"""Before each retry, in seconds: the last one comes a day after the first try."""
LEASE_S = 60
"""Who began a delivery and says nothing for so long has died."""
EVENTS_LAST = timedelta(days=30)
"""How long the log tells of a delivery that has ended."""
CANDIDATES = 200
PAGE_ATTEMPTS = len(BACKOFF_S) + 1


class EventState(StrEnum):
    """Where the delivery of an event is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True)
class Event:
    """A job has reached a status, and somebody shall be told. due_at: the next try; None: at once."""

    id: str
    job_id: str
    account_id: str
    status: JobStatus
    url: str
    base_url: str
    state: EventState
    attempts: int
    created_at: datetime
    due_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True)
class Try:
    """One try at a delivery. http_status: what the receiver answered; None: nothing that can be told."""

    event_id: str
    at: datetime
    http_status: int | None
    milliseconds: int

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has taken it."""
        return self.http_status is not None and 200 <= self.http_status < 300


@dataclass(frozen=True)
class Secret:
    """What an account's deliveries are signed with."""

    secret: str
    created_at: datetime


class Webhooks:
    """Events and secrets in the database. Every method raises Unavailable when that is away."""

    def __init__(self, database: Database, clock: SteadyClock = STEADY) -> None:
        self._database = database
        self._clock = clock

    # --- Secrets ---

    async def secret(self, account_id: str) -> Secret:
        """Return what an account's deliveries are signed with; the first time, it is made."""
        rows = await self._database.rows(_SECRET, {"account": account_id})
        if not rows:
            await self._database.change(Call(_ADD_SECRET, self._new_secret(account_id)))
            rows = await self._database.rows(_SECRET, {"account": account_id})
        return Secret(*rows[0])

    async def rotate(self, account_id: str) -> Secret:
        """Replace an account's secret at once."""
        await self.secret(account_id)
        row = await self._database.change(Call(_ROTATE, self._new_secret(account_id)))
        assert row is not None  # noqa: S101 - it was there a moment ago, and is never deleted
        return Secret(*row)

    def _new_secret(self, account_id: str) -> dict[str, object]:
        made = "whsec_" + secrets.token_urlsafe(32)
        return {"account_id": account_id, "secret": made, "created_at": self._clock.now()}

    # --- Delivering ---

    async def due(self, most_per_account: int) -> list[Event]:
        """Return events whose turn it is: of each job the first that is pending, of each account a few."""
        now = self._clock.now()
        # What is due later than any backoff was set before the clock jumped.
        never = now + timedelta(seconds=max(BACKOFF_S) + LEASE_S)
        values = {"now": now, "never": never, "most": most_per_account}
        return [_event(row) for row in await self._database.rows(_DUE, values)]

    async def begin(self, event: Event) -> bool:
        """Take an event for one try. False: somebody else has."""
        until = self._clock.now() + timedelta(seconds=LEASE_S)
        values = {"event": event.id, "seen": event.attempts, "until": until}
        return await self._database.change(Call(_BEGIN, values)) is not None

    async def finish(self, event: Event, attempt: Try) -> EventState:
        """Record a try at an event as it was before `begin`, and when the next one is due."""
        state, due_at = EventState.PENDING, None
        if attempt.is_delivered:
            state = EventState.DELIVERED
        elif event.attempts >= len(BACKOFF_S):
            state = EventState.FAILED
        else:
            due_at = self._clock.now() + timedelta(seconds=BACKOFF_S[event.attempts])
        delivered_at = attempt.at if attempt.is_delivered else None
        values = {"event": event.id, "state": state, "due": due_at, "delivered": delivered_at}
        await self._database.change(Call(_FINISH, values), Call(_ADD_TRY, vars(attempt)))
        return state

    # --- The log ---

    async def log(
        self, account_id: str, limit: int, *, before: str | None = None, job_id: str | None = None
    ) -> list[Event]:
        """Return an account's events, the newest first. before: older than this event."""
        values = {"account": account_id, "limit": limit, "before": before, "job": job_id}
        return [_event(row) for row in await self._database.rows(_LOG, values)]

    async def event(self, event_id: str, account_id: str) -> Event | None:
        """Return an event of this account."""
        rows = await self._database.rows(_EVENT, {"event": event_id, "account": account_id})
        return _event(rows[0]) if rows else None

    async def tries(self, event_id: str) -> list[Try]:
        """Return the newest tries at an event, the oldest first."""
        rows = await self._database.rows(_TRIES, {"event": event_id})
        return [Try(*row) for row in reversed(rows)]

    async def redeliver(self, event_id: str, account_id: str) -> bool:
        """Deliver an event again, with all its retries. False: the account has none of that id."""
        values = {"event": event_id, "account": account_id}
        return await self._database.change(Call(_REDELIVER, values)) is not None

    async def forget(self) -> None:
        """Forget what ended longer than EVENTS_LAST ago."""
        values = {"before": self._clock.now() - EVENTS_LAST}
        await self._database.change(Call(_FORGET_TRIES, values))
        await self._database.change(Call(_FORGET, values))


def _event(row: object) -> Event:
    values = row._asdict()  # type: ignore[attr-defined]
    values |= {"status": JobStatus(values["status"]), "state": EventState(values["state"])}
    return Event(**values)


_own = webhook_events.c.account_id == bindparam("account")
_this = webhook_events.c.id == bindparam("event")

# Postgres' own INSERT compiles for SQLite too; SQLite's does not for Postgres.
_ADD_SECRET = Statement(
    postgresql.insert(webhook_secrets).on_conflict_do_nothing().returning(webhook_secrets.c.account_id),
    columns=webhook_secrets.columns.keys(),
)
_SECRET = Statement(
    sa.select(webhook_secrets.c.secret, webhook_secrets.c.created_at).where(
        webhook_secrets.c.account_id == bindparam("account")
    )
)
_ROTATE = Statement(
    sa.update(webhook_secrets)
    .where(webhook_secrets.c.account_id == bindparam("account_id"))
    .values(secret=bindparam("secret"), created_at=bindparam("created_at", type_=UtcDateTime))
    .returning(webhook_secrets.c.secret, webhook_secrets.c.created_at)
)

_shown = (
    *(webhook_events.c.id, webhook_events.c.job_id, webhook_events.c.account_id, webhook_events.c.status),
    *(webhooks.c.url, webhooks.c.base_url, webhook_events.c.state, webhook_events.c.attempts),
    *(webhook_events.c.created_at, webhook_events.c.due_at, webhook_events.c.delivered_at),
)
_events = sa.select(*_shown).join_from(webhook_events, webhooks, webhooks.c.job_id == webhook_events.c.job_id)

_earlier = webhook_events.alias("earlier")
_is_first = ~sa.exists().where(
    _earlier.c.job_id == webhook_events.c.job_id,
    _earlier.c.seq < webhook_events.c.seq,
    sa.literal_column("earlier.state = 'pending'"),
)
_now, _never = (bindparam(name, type_=UtcDateTime) for name in ("now", "never"))
_is_due = sa.or_(
    webhook_events.c.due_at.is_(None), webhook_events.c.due_at <= _now, webhook_events.c.due_at > _never
)
_turns = (
    sa.select(
        webhook_events.c.id,
        sa.func.row_number()
        .over(partition_by=webhook_events.c.account_id, order_by=webhook_events.c.seq)
        .label("turn"),
    )
    .where(PENDING, _is_first, _is_due)
    .subquery("turns")
)
_DUE = Statement(
    _events.join(_turns, _turns.c.id == webhook_events.c.id)
    .where(_turns.c.turn <= bindparam("most", type_=BIG))
    .order_by(_turns.c.turn, webhook_events.c.seq)
    .limit(sa.literal_column(str(CANDIDATES)))
)
_BEGIN = Statement(
    sa.update(webhook_events)
    .where(_this, PENDING, webhook_events.c.attempts == bindparam("seen"))
    .values(attempts=webhook_events.c.attempts + 1, due_at=bindparam("until", type_=UtcDateTime))
    .returning(webhook_events.c.id)
)
_FINISH = Statement(
    sa.update(webhook_events)
    .where(_this, PENDING)
    .values(
        state=bindparam("state"),
        due_at=bindparam("due", type_=UtcDateTime),
        delivered_at=bindparam("delivered", type_=UtcDateTime),
    )
    .returning(webhook_events.c.id)
)
_ADD_TRY = Statement(
    sa.insert(webhook_attempts).returning(webhook_attempts.c.seq),
    columns=("event_id", "at", "http_status", "milliseconds"),
)

_before = sa.select(_earlier.c.seq).where(
    _earlier.c.id == bindparam("before", type_=sa.Text), _earlier.c.account_id == bindparam("account")
)
_LOG = Statement(
    _events.where(
        _own,
        sa.or_(
            bindparam("before", type_=sa.Text).is_(None), webhook_events.c.seq < _before.scalar_subquery()
        ),
        sa.or_(bindparam("job", type_=sa.Text).is_(None), webhook_events.c.job_id == bindparam("job")),
    )
    .order_by(webhook_events.c.seq.desc())
    .limit(bindparam("limit", type_=sa.Integer))
)
_EVENT = Statement(_events.where(_this, _own))
_TRIES = Statement(
    sa.select(*(webhook_attempts.c[name] for name in ("event_id", "at", "http_status", "milliseconds")))
    .where(webhook_attempts.c.event_id == bindparam("event"))
    .order_by(webhook_attempts.c.seq.desc())
    .limit(sa.literal_column(str(PAGE_ATTEMPTS)))
)
_REDELIVER = Statement(
    sa.update(webhook_events)
    .where(_this, _own)
    .values(state=EventState.PENDING.value, attempts=0, due_at=sa.null(), delivered_at=sa.null())
    .returning(webhook_events.c.id)
)

_old = sa.and_(
    webhook_events.c.created_at < bindparam("before", type_=UtcDateTime),
    sa.literal_column("webhook_events.state <> 'pending'"),
)
_FORGET_TRIES = Statement(
    sa.delete(webhook_attempts).where(
        webhook_attempts.c.event_id.in_(sa.select(webhook_events.c.id).where(_old))
    )
)
_FORGET = Statement(sa.delete(webhook_events).where(_old))
