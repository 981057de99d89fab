"""`keys` and `accounts`, run as people run them, against a server of their own."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import httpx2
import pytest

from tests.serving import Served, clean_environment, served
from tests.test_cli import COMMAND, read_until, safelight


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
    assert f"{made['id']}\tann@example.org\tyes\t0\trunning_jobs=2\n" in listed
    assert safelight(at, "accounts", "list", api_key=made["key"]).returncode == 77


def test_credits_are_granted_shown_taken_back_and_audited(at):
    made = json.loads(out_of(safelight(at, "accounts", "create", "bob@example.org", "--json")))
    granted = safelight(at, "credits", "grant", made["id"], "12.5", "--note", "welcome")
    assert out_of(granted) == "12.5 credits\n"
    assert out_of(safelight(at, "credits", "grant", made["id"], "--", "-0.5")) == "12 credits\n"
    shown = out_of(safelight(at, "credits", "show", api_key=made["key"])).splitlines()
    assert shown[0] == "12 credits, 0 more held by requests under way"
    assert [line.split("\t")[1:] for line in shown[1:]] == [
        ["withdrawal", "0.5", "-0.5", "", ""],
        ["grant", "12.5", "+12.5", "", "welcome"],
    ]
    assert out_of(safelight(at, "credits", "show", "--account", made["id"])).splitlines() == shown
    assert safelight(at, "credits", "grant", made["id"], "--", "-100").returncode == 65
    assert out_of(safelight(at, "credits", "show")).startswith("unmetered")
    assert "books are right" in safelight(at, "credits", "audit").stderr


def test_usage_is_shown_by_day_key_and_model(at):
    with at.client() as client:
        client.submit("test/instant", {})
    [row] = [line.split("\t") for line in out_of(safelight(at, "usage")).splitlines()]
    assert row[1:] == ["first key", "test/instant", "1", "0", "0"]
    assert safelight(at, "usage", "--from", "yesterday").returncode == 65
    assert out_of(safelight(at, "usage", "--to", "2020-01-01")) == ""


def logs_in(at: Served, email: str, password: str) -> bool:
    form = {"email": email, "password": password}
    return httpx2.post(f"{at.url}/login", data=form, headers={"origin": at.url}).status_code == 303


def test_a_password_is_set_from_a_script_and_removed(at):
    made = json.loads(out_of(safelight(at, "accounts", "create", "dora@example.org", "--json")))
    named = ("accounts", "password", "Dora@example.org")
    done = safelight(at, *named, "--stdin", stdin="four words in a row\n")
    assert (out_of(done), done.stderr) == ("", "dora@example.org logs in with a password or a key.\n")
    assert logs_in(at, "dora@example.org", "four words in a row")
    short = safelight(at, *named, "--stdin", stdin="hunter2\n")
    assert (short.returncode, short.stderr) == (65, "safelight: password: must have at least 12 characters\n")
    assert "with a key." in safelight(at, "accounts", "password", made["id"], "--remove").stderr
    assert not logs_in(at, "dora@example.org", "four words in a row")
    safelight(at, "accounts", "create", "DORA@example.org")
    twins = safelight(at, *named, "--remove")
    assert twins.returncode == 65
    assert made["id"] in twins.stderr
    assert "words" not in at.log()


def test_on_a_terminal_a_password_is_asked_for_twice_and_not_shown(at):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "accounts", "password", "owner@localhost"],
        env=clean_environment(base_url=at.url, data_dir=at.data_dir) | {"TERM": "xterm"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    for question in ("New password: ", "Once more: "):
        shown += read_until(ours, question)
        os.write(ours, b"the owner's own words\n")
    shown += read_until(ours, "a password or a key.")
    assert process.wait(60) == 0
    os.close(ours)
    assert "words" not in shown
    assert logs_in(at, "owner@localhost", "the owner's own words")
