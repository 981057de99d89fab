"""The tables, the same on SQLite and Postgres. `migrations/` creates them; a test compares the two."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from safelight.jobs import JobStatus

REVISION = "0016"
"""The newest migration. A database that is there already is opened without importing Alembic."""

IN_QUEUE = sa.text("status = 'in_queue'")
IN_PROGRESS = sa.text("status = 'in_progress'")
FAILED = sa.text("status = 'failed'")
ENDED = sa.text("status IN ('completed', 'failed', 'cancelled')")
UNFINISHED = sa.text("status IN ('in_queue', 'in_progress')")
PENDING = sa.text("state = 'pending'")
KEPT_FILES = sa.text("removed_at IS NULL")
WITH_DEADLINE = sa.text("deadline_at IS NOT NULL AND status IN ('in_queue', 'in_progress')")
"""Literals, never bound values: otherwise a planner cannot see that a partial index applies."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite has no time zones: it stores the UTC wall clock."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, which would be read as another moment."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a stored time must carry its time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Usd(sa.TypeDecorator[Decimal]):
    """An amount in US dollars, kept as whole millionths: exact, and SQLite can add it up too."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        """Round to millionths."""
        return None if value is None else round(value * 1_000_000)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        """Return dollars."""
        return None if value is None else usd_of(value)


def usd_of(millionths: int) -> Decimal:
    """Dollars from what is stored."""
    return Decimal(millionths) / 1_000_000


class JsonText(sa.TypeDecorator[Any]):
    """A JSON value as text, the same bytes in every database."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write it; None is null."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read it."""
        return None if value is None else json.loads(value)


BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()


def _limits() -> tuple[sa.Column[Any], ...]:
    """The columns of `callers.Limits`; null: no limit."""
    counts = ("requests_per_minute", "queued_jobs", "running_jobs")
    return *(sa.Column(name, sa.Integer) for name in counts), sa.Column("monthly_credits", Usd)


accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("unmetered", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    *_limits(),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("sha256", sa.LargeBinary, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True, index=True),
    sa.Column("prefix", sa.Text, nullable=False, index=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    *_limits(),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("sha256", sa.LargeBinary, primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("key_sha256", sa.LargeBinary, sa.ForeignKey("api_keys.sha256")),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

passwords = sa.Table(
    "passwords",
    metadata,
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("set_at", UtcDateTime, nullable=False),
)
"""Beside the accounts, not in them: who lists accounts reads no hash, and of those with a password each has a
name of its own."""

login_codes = sa.Table(
    "login_codes",
    metadata,
    sa.Column("sha256", sa.LargeBinary, primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

device_logins = sa.Table(
    "device_logins",
    metadata,
    sa.Column("sha256", sa.LargeBinary, primary_key=True),
    sa.Column("user_code", sa.Text, nullable=False, unique=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id")),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("model_id", sa.Text, nullable=False),
    sa.Column("input", JsonText, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("cost", Usd, nullable=False),
    sa.Column("progress_step", sa.Integer),
    sa.Column("progress_steps", sa.Integer),
    sa.Column("preview", sa.Text),
    sa.Column("outputs", JsonText),
    sa.Column("error", JsonText),
    sa.Column("report", JsonText),
    sa.Column("worker_id", sa.Text),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("heartbeats", BIG, nullable=False),
    sa.Column("heartbeat_at", UtcDateTime),
    sa.Column("deadline_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("language", sa.Text, nullable=False, server_default="en"),
    sa.Column("upstream_task", sa.Text),
    sa.Column("key_id", sa.Text),
    sa.Column("rate", JsonText),
    sa.Column("erased_at", UtcDateTime),
    sa.CheckConstraint(f"status IN ({', '.join(repr(str(status)) for status in JobStatus)})", "jobs_status"),
    sqlite_autoincrement=True,
)
# The queue by turns of the accounts, of all models and of each.
for _name, _columns in (
    ("jobs_by_turns", (jobs.c.account_id, jobs.c.seq, jobs.c.model_id, jobs.c.key_id)),
    ("jobs_of_model_by_turns", (jobs.c.model_id, jobs.c.account_id, jobs.c.seq, jobs.c.key_id)),
):
    sa.Index(_name, *_columns, postgresql_where=IN_QUEUE, sqlite_where=IN_QUEUE)
sa.Index("jobs_in_progress", jobs.c.seq, postgresql_where=IN_PROGRESS, sqlite_where=IN_PROGRESS)
sa.Index("jobs_of_account", jobs.c.account_id, jobs.c.seq)
sa.Index("jobs_with_deadline", jobs.c.seq, postgresql_where=WITH_DEADLINE, sqlite_where=WITH_DEADLINE)
sa.Index("jobs_failed", jobs.c.seq, postgresql_where=FAILED, sqlite_where=FAILED)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("resident", JsonText, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
)

sa.Index("jobs_by_account", jobs.c.account_id, jobs.c.created_at)

BOOKS = {
    "grant": ("granted", "free"),
    "withdrawal": ("free", "granted"),
    "hold": ("free", "held"),
    "release": ("held", "free"),
    "charge": ("held", "charged"),
    "waiver": ("waived", "charged"),
}
"""The kinds of the ledger's entries: which book each takes from and which it gives to."""

_KINDS = " OR ".join(f"(kind = '{k}' AND source = '{s}' AND target = '{t}')" for k, (s, t) in BOOKS.items())

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id")),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("amount", Usd, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("job_id", "kind", name="ledger_once"),
    sa.CheckConstraint("amount > 0", "ledger_amount"),
    sa.CheckConstraint(_KINDS, "ledger_books"),
    sqlite_autoincrement=True,
)
sa.Index("ledger_by_account", ledger.c.account_id, ledger.c.seq)

balances = sa.Table(
    "balances",
    metadata,
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("free", Usd, nullable=False),
    sa.Column("held", Usd, nullable=False),
    sa.CheckConstraint("free >= 0", "balances_free"),
    sa.CheckConstraint("held >= 0", "balances_held"),
)
"""The sums of the ledger's entries, kept by a trigger of it."""

files = sa.Table(
    "files",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), index=True),
    sa.Column("content_type", sa.Text, nullable=False),
    sa.Column("size_bytes", BIG, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("removed_at", UtcDateTime),
)
sa.Index("files_to_expire", files.c.expires_at, postgresql_where=KEPT_FILES, sqlite_where=KEPT_FILES)
sa.Index("files_of_account", files.c.account_id, postgresql_where=KEPT_FILES, sqlite_where=KEPT_FILES)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False, index=True),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("intermediate", sa.Boolean, nullable=False),
    sa.Column("base_url", sa.Text, nullable=False),
)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", UtcDateTime),
    sa.Column("delivered_at", UtcDateTime),
    sqlite_autoincrement=True,
)
sa.Index("webhook_events_of_account", webhook_events.c.account_id, webhook_events.c.seq)
sa.Index("webhook_events_of_job", webhook_events.c.job_id, webhook_events.c.seq)
sa.Index("webhook_events_pending", webhook_events.c.seq, postgresql_where=PENDING, sqlite_where=PENDING)

webhook_attempts = sa.Table(
    "webhook_attempts",
    metadata,
    sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
    sa.Column("event_id", sa.Text, nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("http_status", sa.Integer),
    sa.Column("milliseconds", sa.Integer, nullable=False),
)

webhook_secrets = sa.Table(
    "webhook_secrets",
    metadata,
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)
