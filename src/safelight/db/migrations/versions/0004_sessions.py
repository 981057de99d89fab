"""Sessions of browsers, and the codes of one-time links that start one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "sessions",
        sa.Column("sha256", sa.LargeBinary, primary_key=True),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary, sa.ForeignKey("api_keys.sha256")),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_table(
        "login_codes",
        sa.Column("sha256", sa.LargeBinary, primary_key=True),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
    )
