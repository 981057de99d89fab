"""`keys` and `accounts`, run as people run them, against a server of their own."""

from __future__ import annotations

import json

import pytest

from tests.serving import served
from tests.test_cli import safelight


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    """A server without a worker."""
    with served(tmp_path_factory.mktemp("accounts") / "data", workers=0) as server:
        yield server


def out_of(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_key_is_made_listed_and_revoked(at):
    wish = ["--scope", "read", "--queued-jobs", "5", "--expires-in-days", "9"]
    done = safelight(at, "keys", "create", "laptop", *wish)
    key = out_of(done).strip()
    assert "not shown again" in done.stderr
    assert at.accepts(key)
    listed = [line.split("\t") for line in out_of(safelight(at, "keys", "list")).splitlines()]
    [row] = [row for row in listed if row[1] == "laptop"]
    assert row[1:5] == ["laptop", key[:8], "read", "queued_jobs=5"]
    assert "Revoked: laptop" in safelight(at, "keys", "revoke", row[0]).stderr
    assert not at.accepts(key)
    assert safelight(at, "keys", "revoke", "unknown").returncode == 65


def test_an_account_is_made_and_limited_and_manages_its_own_keys(at):
    made = json.loads(out_of(safelight(at, "accounts", "create", "ann@example.org", "--json")))
    own = safelight(at, "keys", "create", "hers", "--json", api_key=made["key"])
    assert at.accepts(json.loads(out_of(own))["key"])
    assert "hers" in out_of(safelight(at, "keys", "list", "--account", made["id"]))
    out_of(safelight(at, "accounts", "limit", made["id"], "--running-jobs", "2"))
    listed = out_of(safelight(at, "accounts", "list"))
    assert f"{made['id']}\tann@example.org\tyes\trunning_jobs=2\n" in listed
    assert safelight(at, "accounts", "list", api_key=made["key"]).returncode == 77
