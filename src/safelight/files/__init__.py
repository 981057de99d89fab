"""Where bytes live, and whose they are."""
