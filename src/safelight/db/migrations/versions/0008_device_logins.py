"""Keep the logins of devices that wait for approval."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "device_logins",
        sa.Column("sha256", sa.LargeBinary, primary_key=True),
        sa.Column("user_code", sa.Text, nullable=False, unique=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id")),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
