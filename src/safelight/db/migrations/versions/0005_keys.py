"""Name keys, give them scopes and an end, and set limits for accounts and keys."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Keys that are there already may do everything, as before."""
    for table in ("accounts", "api_keys"):
        for name in ("requests_per_minute", "queued_jobs", "running_jobs"):
            op.add_column(table, sa.Column(name, sa.Integer))
        op.add_column(table, sa.Column("monthly_credits", sa.BigInteger))
    op.add_column("api_keys", sa.Column("expires_at", TIME))
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"])
    for name in ("id", "name", "scopes"):
        # SQLite adds no column that must not be null without a default.
        op.add_column("api_keys", sa.Column(name, sa.Text, nullable=False, server_default=""))
    _fill()
    op.create_index("ix_api_keys_id", "api_keys", ["id"], unique=True)


def _fill() -> None:
    connection = op.get_bind()
    keys = sa.table("api_keys", *map(sa.column, ("sha256", "id", "name", "scopes")))
    for sha256 in connection.scalars(sa.select(keys.c.sha256)).all():
        values = {"id": secrets.token_urlsafe(16), "name": "first key", "scopes": "submit read admin"}
        connection.execute(sa.update(keys).where(keys.c.sha256 == sha256).values(values))
