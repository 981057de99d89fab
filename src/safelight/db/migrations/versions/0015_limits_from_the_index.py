"""Answer from the queue's indexes alone which key sent a job, for the limits of keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

IN_QUEUE = sa.text("status = 'in_queue'")


def upgrade() -> None:
    """Add the key to both indexes."""
    for name, columns in (
        ("jobs_by_turns", ["account_id", "seq", "model_id", "key_id"]),
        ("jobs_of_model_by_turns", ["model_id", "account_id", "seq", "key_id"]),
    ):
        op.drop_index(name, "jobs")
        op.create_index(name, "jobs", columns, sqlite_where=IN_QUEUE, postgresql_where=IN_QUEUE)
