"""The schema's history, written with Alembic and applied whenever a database is opened."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from safelight.db.tables import REVISION


def upgrade(connection: sa.Connection) -> None:
    """Bring the schema to the newest revision inside the caller's transaction. Safe to run twice at once."""
    if current(connection) == REVISION:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('safelight migrations'))"))
    # Imported late: Alembic costs a fifth of a second, and most starts find the schema current.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)


def current(connection: sa.Connection) -> str | None:
    """Return the revision of this database; None: it is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found
