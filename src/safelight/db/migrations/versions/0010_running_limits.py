"""Keep two claims that look at once within an account's limit on running jobs.

SQLite has one writer: there the condition in the claim itself is enough.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

# Each statement of a volatile function sees what was committed before it began, so after the lock the count
# is exact. Jobs of accounts and keys without a limit take no lock.
POSTGRES = (
    """
    CREATE FUNCTION safelight_keep_running_limits() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      of_account integer := (SELECT running_jobs FROM accounts WHERE id = NEW.account_id);
      of_key integer := (SELECT running_jobs FROM api_keys WHERE id = NEW.key_id);
    BEGIN
      IF of_account IS NULL AND of_key IS NULL THEN
        RETURN NEW;
      END IF;
      PERFORM pg_advisory_xact_lock(hashtextextended(NEW.account_id, 0));
      IF of_account <= (
        SELECT count(*) FROM jobs WHERE status = 'in_progress' AND account_id = NEW.account_id
      ) OR of_key <= (
        SELECT count(*) FROM jobs WHERE status = 'in_progress' AND key_id = NEW.key_id
      ) THEN
        RETURN NULL;
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER jobs_running_limits BEFORE UPDATE ON jobs FOR EACH ROW
    WHEN (OLD.status = 'in_queue' AND NEW.status = 'in_progress')
    EXECUTE FUNCTION safelight_keep_running_limits()
    """,
)


def upgrade() -> None:
    """Create the trigger."""
    for statement in POSTGRES if op.get_bind().dialect.name == "postgresql" else ():
        op.execute(statement)
