"""Let workers say that they are there, and let the last failures be found without reading every job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TIME = sa.DateTime(timezone=True)
FAILED = sa.text("status = 'failed'")


def upgrade() -> None:
    """Create the table and the index."""
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("resident", sa.Text, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
    )
    op.create_index("jobs_failed", "jobs", ["seq"], postgresql_where=FAILED, sqlite_where=FAILED)
