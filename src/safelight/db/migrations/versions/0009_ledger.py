"""Keep a double-entry ledger of credits that nobody can change, and the sums of its entries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
KINDS = """
    (kind = 'grant' AND source = 'granted' AND target = 'free')
    OR (kind = 'withdrawal' AND source = 'free' AND target = 'granted')
    OR (kind = 'hold' AND source = 'free' AND target = 'held')
    OR (kind = 'release' AND source = 'held' AND target = 'free')
    OR (kind = 'charge' AND source = 'held' AND target = 'charged')
    OR (kind = 'waiver' AND source = 'waived' AND target = 'charged')
"""
MOVE = """
    INSERT INTO balances (account_id, free, held) VALUES (NEW.account_id, 0, 0) ON CONFLICT DO NOTHING;
    UPDATE balances SET
      free = free + CASE 'free' WHEN NEW.target THEN NEW.amount WHEN NEW.source THEN -NEW.amount ELSE 0 END,
      held = held + CASE 'held' WHEN NEW.target THEN NEW.amount WHEN NEW.source THEN -NEW.amount ELSE 0 END
    WHERE account_id = NEW.account_id;
"""

SQLITE = (
    f"CREATE TRIGGER ledger_moves_balances AFTER INSERT ON ledger BEGIN {MOVE} END",
    """
    CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'entries of the ledger never change'); END
    """,
    """
    CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'entries of the ledger are never deleted'); END
    """,
    # INSERT OR REPLACE deletes without firing a delete trigger.
    """
    CREATE TRIGGER ledger_no_replace BEFORE INSERT ON ledger
    WHEN EXISTS (SELECT 1 FROM ledger WHERE seq = NEW.seq OR (job_id = NEW.job_id AND kind = NEW.kind))
    BEGIN SELECT RAISE(ABORT, 'this entry of the ledger exists'); END
    """,
)

POSTGRES = (
    f"""
    CREATE FUNCTION safelight_move_balance() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN {MOVE} RETURN NULL; END $$
    """,
    """
    CREATE TRIGGER ledger_moves_balances AFTER INSERT ON ledger FOR EACH ROW
    EXECUTE FUNCTION safelight_move_balance()
    """,
    """
    CREATE FUNCTION safelight_keep_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'entries of the ledger never change and are never deleted'
        USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW
    EXECUTE FUNCTION safelight_keep_ledger()
    """,
    "CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON ledger EXECUTE FUNCTION safelight_keep_ledger()",
)

# What was used before there was a ledger cost nobody anything.
WAIVE = """
    INSERT INTO ledger (account_id, job_id, kind, source, target, amount, created_at)
    SELECT account_id, id, 'waiver', 'waived', 'charged', cost, finished_at
    FROM jobs WHERE status = 'completed' AND cost > 0
"""


def upgrade() -> None:
    """Create the ledger and the balances; jobs learn which key sent them and how they are charged."""
    op.add_column("jobs", sa.Column("key_id", sa.Text))
    op.add_column("jobs", sa.Column("rate", sa.Text))
    op.create_index("jobs_by_account", "jobs", ["account_id", "created_at"])
    _create_ledger()
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES:
        op.execute(statement)
    op.execute(WAIVE)


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("seq", BIG, sa.Identity(always=True), primary_key=True),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id")),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", TIME, nullable=False),
        sa.UniqueConstraint("job_id", "kind", name="ledger_once"),
        sa.CheckConstraint("amount > 0", "ledger_amount"),
        sa.CheckConstraint(KINDS, "ledger_books"),
        sqlite_autoincrement=True,
    )
    op.create_index("ledger_by_account", "ledger", ["account_id", "seq"])
    op.create_table(
        "balances",
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("free", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.CheckConstraint("free >= 0", "balances_free"),
        sa.CheckConstraint("held >= 0", "balances_held"),
    )
