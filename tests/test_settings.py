"""Settings: read once, refused with their name, documented one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from safelight.errors import SettingsError
from safelight.settings import PREFIX, Settings, read_settings

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path))


def test_flags_beat_the_environment_and_the_environment_beats_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "safelight.toml").write_text('port = 7001\nhost = "file"\ndevice = "cpu"\n')
    monkeypatch.setenv("SAFELIGHT_PORT", "7002")
    monkeypatch.setenv("SAFELIGHT_HOST", "environment")
    settings = read_settings(host="flag")
    assert (settings.host, settings.port, settings.device) == ("flag", 7002, "cpu")


def test_the_file_is_read_from_the_folder_that_a_flag_names(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "safelight.toml").write_text("port = 7003\n")
    assert read_settings(data_dir=folder).port == 7003


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("PORT", "99999", "SAFELIGHT_PORT"),
        ("PORT", "http", "SAFELIGHT_PORT"),
        ("DATABASE_URL", "mysql://x", "postgresql://"),
        ("PUBLIC_URL", "images.example.org", "https://images.example.org"),
        ("API_KEY", "short", "32 to 255 printable characters"),
        ("API_KEY", "x" * 31 + " " + "y" * 10, "32 to 255 printable characters"),
        ("WEIGHTS", "huge", "SAFELIGHT_WEIGHTS"),
        ("PRECISION", "int4", "'bf16' or 'fp8'"),
        ("DEVICE", "tpu", "auto, cpu, cuda"),
        ("MODELS_DIR", "/does/not/exist", "no folder"),
        ("FETCH_ALLOW", "nas.local", "host:port"),
        ("WORKERS", "-1", "SAFELIGHT_WORKERS"),
    ],
)
def test_a_senseless_setting_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert PREFIX + name in caught.value.message
    assert hint in caught.value.message
    if name == "API_KEY":
        assert value not in caught.value.message


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "safelight.toml").write_text("prot = 7001\n")
    with pytest.raises(SettingsError, match=r"prot in safelight\.toml is no setting"):
        read_settings()


def test_allowed_hosts_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFELIGHT_FETCH_ALLOW", "nas.local:8080, 127.0.0.1:9000,")
    assert read_settings().fetch_allow == ("nas.local:8080", "127.0.0.1:9000")


def test_a_key_never_shows_in_a_printed_settings_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFELIGHT_API_KEY", "k" * 40)
    assert "kkkk" not in repr(read_settings())


def test_the_documentation_lists_every_setting_and_no_other() -> None:
    rows = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("| `SAFELIGHT_")]
    documented = {row.split("`")[1] for row in rows}
    assert documented == {PREFIX + name.upper() for name in Settings.model_fields}
