"""Keep what the image of a running job looks like so far."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column: a small image as a data URI, gone when the job ends."""
    op.add_column("jobs", sa.Column("preview", sa.Text))
