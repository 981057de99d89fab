"""Tell receivers when a request moves on: whoever moves it, a trigger writes what is to be delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
PENDING = sa.text("state = 'pending'")

SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER jobs_webhook AFTER UPDATE OF status ON jobs
    WHEN NEW.status <> OLD.status AND EXISTS (
      SELECT 1 FROM webhooks
      WHERE job_id = NEW.id AND (intermediate OR NEW.status IN ('completed', 'failed', 'cancelled'))
    )
    BEGIN
      INSERT INTO webhook_events (id, job_id, account_id, status, created_at, state, attempts)
      VALUES (lower(hex(randomblob(16))), NEW.id, NEW.account_id, NEW.status,
              strftime('%Y-%m-%d %H:%M:%f000', 'now'), 'pending', 0);
    END
    """,
)

POSTGRES_TRIGGERS = (
    """
    CREATE FUNCTION safelight_webhook() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO webhook_events (id, job_id, account_id, status, created_at, state, attempts)
      SELECT replace(gen_random_uuid()::text, '-', ''), NEW.id, NEW.account_id, NEW.status, now(),
             'pending', 0
      FROM webhooks
      WHERE job_id = NEW.id AND (intermediate OR NEW.status IN ('completed', 'failed', 'cancelled'));
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER jobs_webhook AFTER UPDATE OF status ON jobs FOR EACH ROW
    WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION safelight_webhook()
    """,
)


def upgrade() -> None:
    """Create the tables and the trigger."""
    op.create_table(
        "webhooks",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("intermediate", sa.Boolean, nullable=False),
        sa.Column("base_url", sa.Text, nullable=False),
    )
    op.create_table(
        "webhook_events",
        sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", TIME),
        sa.Column("delivered_at", TIME),
        sqlite_autoincrement=True,
    )
    op.create_index("webhook_events_of_account", "webhook_events", ["account_id", "seq"])
    op.create_index("webhook_events_of_job", "webhook_events", ["job_id", "seq"])
    op.create_index(
        "webhook_events_pending", "webhook_events", ["seq"], sqlite_where=PENDING, postgresql_where=PENDING
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("http_status", sa.Integer),
        sa.Column("milliseconds", sa.Integer, nullable=False),
    )
    op.create_index("ix_webhook_attempts_event_id", "webhook_attempts", ["event_id"])
    op.create_table(
        "webhook_secrets",
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    for statement in SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else POSTGRES_TRIGGERS:
        op.execute(statement)
