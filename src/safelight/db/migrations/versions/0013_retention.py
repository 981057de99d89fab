"""Let files expire and requests be erased by their account, without reopening what has ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

TIME = sa.DateTime(timezone=True)
KEPT_FILES = sa.text("removed_at IS NULL")

ENDED = "OLD.status IN ('completed', 'failed', 'cancelled')"
MOVED = "NEW.id <> OLD.id OR NEW.seq <> OLD.seq"
ERASES = "OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL"
ERASED = ("erased_at", "input", "outputs", "error", "report", "preview")
"""What erasing may change, once: what a request was about. That it was, and what it cost, stays."""

KEPT = (
    *("id", "seq", "account_id", "model_id", "status", "attempt", "cost", "progress_step", "progress_steps"),
    *("worker_id", "cancel_requested", "heartbeats", "heartbeat_at", "deadline_at", "created_at"),
    *("started_at", "finished_at", "language", "upstream_task", "key_id", "rate"),
)


def upgrade() -> None:
    """Add the columns, and the one change that a job which has ended still allows."""
    op.add_column("files", sa.Column("expires_at", TIME))
    op.add_column("files", sa.Column("removed_at", TIME))
    op.add_column("jobs", sa.Column("erased_at", TIME))
    op.create_index("jobs_of_account", "jobs", ["account_id", "seq"])
    for name, columns in (("files_to_expire", ["expires_at"]), ("files_of_account", ["account_id"])):
        op.create_index(name, "files", columns, sqlite_where=KEPT_FILES, postgresql_where=KEPT_FILES)
    for statement in _sqlite() if op.get_bind().dialect.name == "sqlite" else _postgres():
        op.execute(statement)


def _sqlite() -> tuple[str, ...]:
    same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in KEPT)
    return (
        "DROP TRIGGER jobs_final_update",
        f"""
        CREATE TRIGGER jobs_final_update BEFORE UPDATE ON jobs
        WHEN {MOVED} OR ({ENDED} AND NOT ({ERASES} AND {same}))
        BEGIN SELECT RAISE(ABORT, 'a job that has ended never changes'); END
        """,
    )


def _postgres() -> tuple[str, ...]:
    names = ", ".join(f"'{name}'" for name in ERASED)
    rest = f"to_jsonb({{}}) - ARRAY[{names}]"
    same = f"({rest.format('NEW')}) = ({rest.format('OLD')})"
    return (
        "DROP TRIGGER jobs_final_update ON jobs",
        f"""
        CREATE TRIGGER jobs_final_update BEFORE UPDATE ON jobs FOR EACH ROW
        WHEN ({MOVED} OR ({ENDED} AND NOT ({ERASES} AND {same})))
        EXECUTE FUNCTION safelight_refuse()
        """,
    )
