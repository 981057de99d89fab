"""Find the next job of each account, and of each account that waits for a model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

IN_QUEUE = sa.text("status = 'in_queue'")


def upgrade() -> None:
    """Replace the index by age."""
    op.drop_index("jobs_in_queue", "jobs")
    for name, columns in (
        ("jobs_by_turns", ["account_id", "seq", "model_id"]),
        ("jobs_of_model_by_turns", ["model_id", "account_id", "seq"]),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=IN_QUEUE, postgresql_where=IN_QUEUE)
