"""Create accounts, keys, jobs and files, and the triggers that keep a job's end as it was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
IN_QUEUE = sa.text("status = 'in_queue'")
IN_PROGRESS = sa.text("status = 'in_progress'")

SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER jobs_final_update BEFORE UPDATE ON jobs
    WHEN OLD.status IN ('completed', 'failed', 'cancelled') OR NEW.id <> OLD.id OR NEW.seq <> OLD.seq
    BEGIN SELECT RAISE(ABORT, 'a job that has ended never changes'); END
    """,
    """
    CREATE TRIGGER jobs_no_delete BEFORE DELETE ON jobs
    BEGIN SELECT RAISE(ABORT, 'jobs are never deleted'); END
    """,
    # INSERT OR REPLACE deletes without firing a delete trigger.
    """
    CREATE TRIGGER jobs_no_replace BEFORE INSERT ON jobs
    WHEN EXISTS (SELECT 1 FROM jobs WHERE id = NEW.id OR seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'this job exists'); END
    """,
)

POSTGRES_TRIGGERS = (
    """
    CREATE FUNCTION safelight_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'a job that has ended never changes; jobs are never deleted'
        USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER jobs_final_update BEFORE UPDATE ON jobs FOR EACH ROW
    WHEN (OLD.status IN ('completed', 'failed', 'cancelled') OR NEW.id <> OLD.id OR NEW.seq <> OLD.seq)
    EXECUTE FUNCTION safelight_refuse()
    """,
    "CREATE TRIGGER jobs_no_delete BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION safelight_refuse()",
    "CREATE TRIGGER jobs_no_truncate BEFORE TRUNCATE ON jobs EXECUTE FUNCTION safelight_refuse()",
)


def upgrade() -> None:
    """Create everything."""
    _create_accounts()
    _create_jobs()
    _create_files()
    for statement in SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else POSTGRES_TRIGGERS:
        op.execute(statement)


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("unmetered", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("sha256", sa.LargeBinary, primary_key=True),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
    )
    op.create_index("ix_api_keys_prefix", "api_keys", ["prefix"])


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("model_id", sa.Text, nullable=False),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=False),
        sa.Column("progress_step", sa.Integer),
        sa.Column("progress_steps", sa.Integer),
        sa.Column("outputs", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("report", sa.Text),
        sa.Column("worker_id", sa.Text),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("heartbeats", BIG, nullable=False),
        sa.Column("heartbeat_at", TIME),
        sa.Column("deadline_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.CheckConstraint(
            "status IN ('in_queue', 'in_progress', 'completed', 'failed', 'cancelled')", "jobs_status"
        ),
        sqlite_autoincrement=True,
    )
    for name, columns, where in (
        ("jobs_in_queue", ["seq", "model_id"], IN_QUEUE),
        ("jobs_in_progress", ["seq"], IN_PROGRESS),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)


def _create_files() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id")),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_files_job_id", "files", ["job_id"])
