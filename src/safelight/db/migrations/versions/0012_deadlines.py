"""Find the unfinished requests that have a deadline at once: they are looked through every second."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

WITH_DEADLINE = sa.text("deadline_at IS NOT NULL AND status IN ('in_queue', 'in_progress')")


def upgrade() -> None:
    """Add the index; for most servers it is empty."""
    op.create_index(
        "jobs_with_deadline", "jobs", ["seq"], sqlite_where=WITH_DEADLINE, postgresql_where=WITH_DEADLINE
    )
