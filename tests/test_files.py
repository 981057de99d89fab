"""Files appear whole and durable, or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safelight.errors import NotFound, StorageFull, Unavailable
from safelight.files import files
from safelight.files.files import ABANDONED_AFTER_S, LocalFiles
from safelight.jobs import new_id

NAME = "Ab3_-6789012345678901x"


def all_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_stored_file_is_found_under_its_name(tmp_path: Path) -> None:
    store = LocalFiles(tmp_path / "files")
    data = os.urandom(3_000_000)
    await store.put(NAME, data)
    assert store.path(NAME).read_bytes() == data
    assert all_files(tmp_path) == [store.path(NAME)]


async def test_every_id_that_jobs_get_is_a_name(tmp_path: Path) -> None:
    store = LocalFiles(tmp_path)
    for _ in range(100):
        await store.put(new_id(), b"x")
    assert len(all_files(tmp_path)) == 100


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalFiles(tmp_path)
    synced: list[tuple[Path, bool]] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), store.path(NAME).exists()))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    await store.put(NAME, b"x")
    bytes_, new_folder, name = synced
    assert (bytes_[0].parent, bytes_[1]) == (tmp_path / files.PARTIAL, False)
    assert new_folder == (tmp_path, False)
    assert name == (tmp_path / NAME[:2], True)


async def test_a_second_put_replaces_the_first(tmp_path: Path) -> None:
    store = LocalFiles(tmp_path)
    await store.put(NAME, b"longer than the second")
    await store.put(NAME, b"second")
    assert store.path(NAME).read_bytes() == b"second"


async def test_a_deleted_file_is_gone_and_may_be_deleted_again(tmp_path: Path) -> None:
    store = LocalFiles(tmp_path)
    await store.put(NAME, b"x")
    await store.delete(NAME)
    await store.delete(NAME)
    assert all_files(tmp_path) == []


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    store = LocalFiles(tmp_path)
    await store.put(NAME, b"")
    assert store.path(NAME).stat().st_size == 0


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../../../../../etc/pass",
        "/etc/passwd/1234567890",
        "..%2f..%2fetc%2fpasswd",
        "a" * 21,
        "a" * 23,
        "a" * 22 + "\n",
        "partial/aaaaaaaaaaaaaa",
        "aa/aaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaa\x00a",
        "aaaaaaaaaaaaaaaaaaaaaé",
        "aaaaaaaaaaaaaaaaaaaaa١",
        "aaaaaaaaaaaaaaaaaaaaa\ud800",
    ],
)
async def test_a_name_that_is_no_id_is_not_found(tmp_path: Path, name: str) -> None:
    store = LocalFiles(tmp_path / "files")
    with pytest.raises(NotFound):
        store.path(name)
    with pytest.raises(NotFound):
        await store.put(name, b"x")
    with pytest.raises(NotFound):
        await store.delete(name)
    assert all_files(tmp_path) == []


async def test_files_and_folders_are_private(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        store = LocalFiles(tmp_path / "files")
        await store.put(NAME, b"x")
    finally:
        os.umask(previous)
    modes = {
        path: path.stat().st_mode & 0o777 for path in [tmp_path / "files", *tmp_path.rglob("files/**/*")]
    }
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


async def test_free_space_is_told(tmp_path: Path, tiny_disk: Path) -> None:
    store = LocalFiles(tiny_disk)
    before = store.free_bytes()
    await store.put(NAME, b"x" * 500_000)
    assert before <= 1_048_576
    assert before - store.free_bytes() >= 500_000


async def test_a_full_disk_leaves_no_part_of_a_file(tiny_disk: Path) -> None:
    store = LocalFiles(tiny_disk)
    with pytest.raises(StorageFull):
        await store.put(NAME, b"x" * 2_000_000)
    assert all_files(tiny_disk) == []
    await store.put(NAME, b"x" * 500_000)
    assert store.path(NAME).stat().st_size == 500_000


async def test_a_full_disk_keeps_the_file_that_was_there(tiny_disk: Path) -> None:
    store = LocalFiles(tiny_disk)
    await store.put(NAME, b"first")
    with pytest.raises(StorageFull):
        await store.put(NAME, b"x" * 2_000_000)
    assert store.path(NAME).read_bytes() == b"first"


PUT_UNDER_A_LIMIT = """
import asyncio, resource, signal, sys
from pathlib import Path
from safelight.errors import StorageFull
from safelight.files.files import LocalFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    asyncio.run(LocalFiles(Path(sys.argv[1])).put("a" * 22, b"x" * 200_000))
except StorageFull:
    print("full")
"""


def test_a_size_limit_counts_as_a_full_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PUT_UNDER_A_LIMIT, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "full\n"
    assert all_files(tmp_path) == []


PUT_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from safelight.files.files import LocalFiles
async def main():
    store = LocalFiles(Path(sys.argv[1]))
    number = 0
    print("ready", flush=True)
    while True:
        await store.put(f"{number:022}", b"x" * 1_000_000)
        number += 1
asyncio.run(main())
"""


def test_a_put_that_is_killed_leaves_no_part_under_a_name(tmp_path: Path) -> None:
    for moment_s in (0.01, 0.017, 0.031):
        writer = subprocess.Popen([sys.executable, "-c", PUT_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout
        writer.stdout.readline()
        time.sleep(moment_s)
        writer.kill()
        writer.communicate()
    stored = [path for path in all_files(tmp_path) if path.parent.name != files.PARTIAL]
    assert {path.stat().st_size for path in stored} <= {1_000_000}


@pytest.mark.parametrize("call", ["fsync", "fstat", "replace", "mkdir", "write", "open"])
async def test_trouble_at_any_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = LocalFiles(tmp_path)

    def fail(*args: object, **options: object) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    owner = {"replace": Path, "mkdir": Path, "write": files}.get(call, os)
    monkeypatch.setattr(owner, "write_all" if call == "write" else call, fail)
    with pytest.raises(Unavailable):
        await store.put(NAME, b"x" * 1000)
    monkeypatch.undo()
    assert all_files(tmp_path) == []


async def test_a_file_that_came_out_shorter_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalFiles(tmp_path)
    monkeypatch.setattr(files, "write_all", lambda file, data: file.write(data[:-1]))
    with pytest.raises(Unavailable):
        await store.put(NAME, b"x" * 1000)
    assert all_files(tmp_path) == []


def test_what_a_crash_left_unfinished_is_swept_a_day_later(tmp_path: Path) -> None:
    LocalFiles(tmp_path)
    old, young = (tmp_path / files.PARTIAL / name for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"x")
    long_ago = time.time() - ABANDONED_AFTER_S - 60
    os.utime(old, (long_ago, long_ago))
    LocalFiles(tmp_path)
    assert all_files(tmp_path) == [young]
