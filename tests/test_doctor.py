"""`safelight doctor` on real machines: this one, in several states."""

from __future__ import annotations

import pytest

from safelight import doctor
from safelight.db import sqlite
from safelight.doctor import Verdict, examine
from safelight.settings import read_settings
from tests.api_server import MODELS, OWNER_KEY

NOWHERE = "http://127.0.0.1:1"


def findings(data_dir, url=NOWHERE, key="", **settings):
    chosen = read_settings(**{"data_dir": data_dir, "device": "cpu", **settings})
    return {finding.subject: finding for finding in examine(chosen, url, key)}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What is found on this machine, with the models of the tests and no server."""
    return findings(tmp_path_factory.mktemp("doctor") / "new", models_dir=MODELS)


def test_this_machine_works(found):
    for subject in ("version", "data folder", "database", "device", "engine"):
        assert found[subject].verdict is not Verdict.BAD, found[subject]
    assert "torch" in found["device"].message


def test_it_makes_nothing(tmp_path):
    findings(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_every_model_is_named(found):
    assert found["test/instant"].message == "ready, needs no weights"
    assert found["test/described"].verdict is Verdict.NOTE
    assert found["test/weightless"].verdict is Verdict.NOTE
    assert "no-such-family/transformer" in found["test/weightless"].message


def test_no_server_is_no_problem(found):
    assert found["server"].verdict is Verdict.NOTE
    assert "safelight serve" in found["server"].message


def test_a_server_that_answers_is_found(server, tmp_path):
    found = findings(tmp_path, server.url, OWNER_KEY)["server"]
    assert (found.verdict, server.url in found.message) == (Verdict.GOOD, True)


def test_a_key_that_the_server_refuses_is_a_problem(server, tmp_path):
    found = findings(tmp_path, server.url, "w" * 40)["server"]
    assert found.verdict is Verdict.BAD
    assert "API key" in found.message


def test_an_older_sqlite_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "SAFE_WAL", (99, 0, 0))
    found = doctor._database(read_settings(data_dir=tmp_path))
    assert (found.verdict, "rollback journal" in found.message) == (Verdict.NOTE, True)


def test_a_gpu_that_torch_does_not_find_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = doctor._device(read_settings(data_dir=tmp_path, device="cuda"))
    assert (found.verdict, "finds no GPU" in found.message) == (Verdict.BAD, True)


def test_a_model_file_that_cannot_be_read_is_a_problem(tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module")
    found = findings(tmp_path, models_dir=tmp_path)
    assert found["models"].verdict is Verdict.BAD
    assert "broken.py" in found["models"].message


def test_a_full_disk_is_a_problem(tiny_disk):
    found = doctor._data_folder(read_settings(data_dir=tiny_disk))
    assert (found.verdict, "make room" in found.message) == (Verdict.BAD, True)
