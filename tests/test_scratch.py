import subprocess
import sys

import pytest

from safelight.worker.scratch import scratch_folder


def test_a_scratch_folder_is_private_and_gone_at_the_end(tmp_path):
    with scratch_folder(tmp_path / "scratch", "me") as folder:
        (folder / "job").mkdir()
        (folder / "job" / "0.rgb").write_bytes(b"pixels")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "scratch").iterdir()) == []


def test_folders_of_dead_workers_are_removed_and_those_of_living_ones_stay(tmp_path):
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from safelight.worker.scratch import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1]), sys.argv[2]) as folder:\n"
        "    (folder / 'pixels').write_bytes(b'x')\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in ("dead", "alive")
    ]
    try:
        for other in others:
            assert other.stdout.readline() == b"ready\n"
        others[0].kill()
        others[0].wait()
        with scratch_folder(tmp_path, "me"):
            assert sorted(folder.name for folder in tmp_path.iterdir()) == ["alive", "me"]
            assert (tmp_path / "alive" / "pixels").exists()
    finally:
        for other in others:
            other.kill()
            other.communicate()


def test_a_scratch_folder_is_gone_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="no"), scratch_folder(tmp_path, "me"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
