"""Keep a request's language, for the words of its failure, and the task that was begun at an upstream."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add both columns; what is there already spoke English and was drawn here."""
    op.add_column("jobs", sa.Column("language", sa.Text, nullable=False, server_default="en"))
    op.add_column("jobs", sa.Column("upstream_task", sa.Text))
