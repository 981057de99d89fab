"""How long a proof runs: shortly with every test run, at length with `make proofs`."""

from __future__ import annotations

import os

AT_LENGTH = bool(os.environ.get("PROOFS"))


def count(short: int, long: int) -> int:
    """How often something is tried."""
    return long if AT_LENGTH else short
