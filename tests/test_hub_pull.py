"""`models pull` against a server that speaks the hub's API, with the hub's own client library."""

import contextlib
import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from safelight.cli import cli
from safelight.errors import HubRefused, HubUnreachable, PullFailed
from safelight.models.base import Part
from safelight.settings import Settings
from safelight.weights.disk import WeightsDisk
from safelight.weights.download import _Counted
from safelight.weights.held import one_at_a_time
from safelight.weights.listing import Hub
from safelight.weights.lock import Lock, read_lock, write_lock
from safelight.weights.pull import Pull
from safelight.weights.remove import delete_unheld, without
from tests.hub_server import hub_server
from tests.serving import clean_environment

BASE, UNION = "Maker/Painter", "lab/Union"
PARTS = (
    Part(BASE, "transformer"),
    Part(BASE, "scheduler"),
    Part(UNION, file="*-2.1-2602-8steps.safetensors"),
)
OWN_MODEL = f'''
from safelight.inputs import ModelInput
from safelight.models.base import Model, Part, Weights
from safelight.texts import NOTHING

class Painter(Model):
    id = "maker/painter"
    display_name, description, categories, licence = "Painter", NOTHING, ("text-to-image",), "Apache-2.0"
    weights = Weights(real={{
        "transformer": Part("{BASE}", "transformer"),
        "controlnet": Part("{UNION}", file="*-2.1-2602-8steps.safetensors"),
    }})
    gpu_memory_gib = 0.0
    Input = ModelInput

    def generate(self, pipeline, request, run):
        return []

class Sketcher(Painter):
    id = "maker/sketcher"
    weights = Weights(real={{"controlnet": Part("{UNION}", file="*-2.1-2602-8steps.safetensors")}})
'''


class Seen:
    """A watch that remembers."""

    def __init__(self):
        self.began_at, self.checked, self.bytes, self.missing, self.sums = {}, [], 0, {}, []

    def resolved(self, listing, files, size_bytes, missing_bytes):
        self.missing[listing.repo] = missing_bytes

    def summed(self, missing_bytes, free_bytes):
        self.sums.append(missing_bytes)

    def began(self, name, size_bytes, there_bytes, checking):
        if checking:
            self.checked.append(name)
            return lambda count: None
        self.began_at[name] = there_bytes
        return self.advance

    def advance(self, count):
        self.bytes += count

    def ended(self, name):
        pass


@pytest.fixture(autouse=True)
def quiet_client(monkeypatch):
    """The client waits a second before it goes on after a break; not here."""
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars, logging

    disable_progress_bars()
    logging.set_verbosity_error()
    impatient = SimpleNamespace(**vars(time) | {"sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.file_download.time", impatient)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    yield
    enable_progress_bars()


@pytest.fixture
def hub(tmp_path):
    with hub_server() as server:
        base = tmp_path / "base"
        for path, content in {
            "model_index.json": b'{"_class_name": "Painter"}',
            "README.md": b"hello",
            "transformer/config.json": b'{"dim": 4}',
            "transformer/weights.safetensors": b"w" * 300_000,
            "transformer/old.bin": b"pickled",
            "transformer/code.py": b"import os",
            "scheduler/scheduler_config.json": b"{}",
        }.items():
            (base / path).parent.mkdir(parents=True, exist_ok=True)
            (base / path).write_bytes(content)
        server.add(BASE, base)
        union = tmp_path / "union"
        union.mkdir()
        for kind in ("2.1-2601-8steps", "2.1-2602-8steps", "2.1-lite-2602-8steps"):
            (union / f"Union-{kind}.safetensors").write_bytes(kind.encode() * 1000)
        server.add(UNION, union)
        yield server


@pytest.fixture
def naps(monkeypatch):
    """The pauses that are made while the hub is busy; none is waited for."""
    made = []
    monkeypatch.setattr("safelight.weights.listing.sleep", made.append)
    return made


@pytest.fixture
def disk(tmp_path):
    return WeightsDisk(tmp_path / "weights")


def pull(hub, disk, parts=PARTS, token="", watch=None, **how):
    return Pull(Hub(hub.url, token), disk, watch or Seen(), Event()).run(parts, **how)


def test_a_pull_brings_what_the_parts_need_and_nothing_else(hub, disk):
    pulled = pull(hub, disk)
    assert all(pulled.has(part) for part in PARTS)
    names = {str(path.relative_to(disk.folder)) for path in disk.folder.rglob("*") if path.is_symlink()}
    commit = hub.repos[BASE].commit
    assert names == {
        f"models--Maker--Painter/snapshots/{commit}/transformer/config.json",
        f"models--Maker--Painter/snapshots/{commit}/transformer/weights.safetensors",
        f"models--Maker--Painter/snapshots/{commit}/scheduler/scheduler_config.json",
        f"models--lab--Union/snapshots/{commit}/Union-2.1-2602-8steps.safetensors",
    }
    assert (pulled.path(PARTS[0]) / "weights.safetensors").read_bytes() == b"w" * 300_000
    assert pulled.path(PARTS[2]).name == "Union-2.1-2602-8steps.safetensors"


def test_the_lock_holds_commit_sizes_and_hashes(hub, disk, tmp_path):
    write_lock(tmp_path / "lock", pull(hub, disk).lock)
    held = read_lock(tmp_path / "lock").repos[BASE]
    assert (held.revision, held.commit) == ("main", hub.repos[BASE].commit)
    for path, file in held.files.items():
        content = hub.repos[BASE].files[path]
        assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_what_is_here_is_checked_and_not_fetched_again(hub, disk):
    first = pull(hub, disk)
    hub.large_requests.clear()
    seen = Seen()
    assert pull(hub, first, watch=seen).lock == first.lock
    assert (hub.large_requests, seen.bytes, len(seen.checked)) == ([], 0, 4)


def test_the_hubs_own_client_finds_what_was_pulled(hub, disk):
    from huggingface_hub import hf_hub_download

    pull(hub, disk)
    found = hf_hub_download(
        BASE,
        "transformer/config.json",
        revision=hub.repos[BASE].commit,
        cache_dir=disk.folder,
        local_files_only=True,
    )
    assert Path(found).read_text() == '{"dim": 4}'


# --- Interrupted ----------------------------------------------------------------------------------------


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub, disk):
    hub.repos[BASE].cuts = {"transformer/weights.safetensors": [100_000, 50_000]}
    seen = Seen()
    pulled = pull(hub, disk, watch=seen)
    assert pulled.has(PARTS[0])
    ranges = [came.headers["range"] for came in hub.large_requests if "range" in came.headers]
    assert ranges == ["bytes=100000-", "bytes=150000-"]
    assert seen.bytes == sum(
        file.size_bytes for repo in pulled.lock.repos.values() for file in repo.files.values()
    )


def test_a_pull_that_was_killed_goes_on_where_it_was(hub, tmp_path):
    process, partial = pull_that_stalls(hub, tmp_path)
    process.kill()
    process.communicate(timeout=30)
    hub.repos[BASE].stalls = False
    assert not (tmp_path / "data/weights.lock").exists()
    there = next(partial.glob("*.incomplete")).stat().st_size
    hub.large_requests.clear()
    finished = start_pull(hub, tmp_path)
    _, told = finished.communicate(timeout=60)
    assert finished.returncode == 0, told
    assert hub.large_requests[0].headers["range"] == f"bytes={there}-"
    assert (tmp_path / "data/weights.lock").exists()


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(hub, tmp_path):
    process, partial = pull_that_stalls(hub, tmp_path)
    process.send_signal(signal.SIGINT)
    hub.repos[BASE].stalls = False
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "goes on from here" in told
    assert any(partial.glob("*.incomplete"))


def test_ctrl_c_does_not_wait_for_a_hub_that_answers_no_more(hub, tmp_path):
    process, _ = pull_that_stalls(hub, tmp_path)
    asked = len(hub.large_requests)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    hub.repos[BASE].stalls = False
    assert (process.returncode, "goes on from here" in told) == (130, True)
    assert len(hub.large_requests) == asked  # the client itself would have waited, and asked again


def test_a_server_that_cannot_go_on_in_the_middle_sends_all_of_it_again(hub, disk):
    hub.repos[BASE].cuts = {"transformer/weights.safetensors": [100_000]}
    hub.repos[BASE].knows_ranges = False
    seen = Seen()
    assert pull(hub, disk, watch=seen).has(PARTS[0])
    assert seen.bytes == seen.sums[0] == 315_012


def test_a_file_that_had_come_whole_when_the_pull_was_killed_is_only_checked(hub, disk):
    sha256 = hashlib.sha256(b"w" * 300_000).hexdigest()
    blob = disk.blob(BASE, sha256)
    blob.parent.mkdir(parents=True)
    blob.with_name(f"{sha256}.incomplete").write_bytes(b"w" * 300_000)
    seen = Seen()
    assert pull(hub, disk, watch=seen).has(PARTS[0])
    assert seen.sums == [15_012]
    assert not [came for came in hub.large_requests if came.path.endswith("weights.safetensors")]


def pull_that_stalls(hub, tmp_path):
    """A pull in a process of its own that has the first 10 MB of a file, which the client takes at once."""
    hub.repos[BASE].files["transformer/weights.safetensors"] = b"w" * 24_000_000
    hub.repos[BASE].cuts = {"transformer/weights.safetensors": [12_000_000]}
    hub.repos[BASE].stalls = True
    process = start_pull(hub, tmp_path)
    blobs = tmp_path / "data/weights/models--Maker--Painter/blobs"
    until(lambda: any(size >= 10_000_000 for size in sizes(blobs)))
    return process, blobs


def sizes(folder):
    for path in folder.glob("*.incomplete"):
        with contextlib.suppress(FileNotFoundError):  # it may just have become whole
            yield path.stat().st_size


# --- Corrupted ------------------------------------------------------------------------------------------


def test_a_file_that_comes_changed_is_refused_and_does_not_stay(hub, disk):
    hub.repos[BASE].corrupt = {"transformer/weights.safetensors"}
    with pytest.raises(PullFailed, match="another content"):
        pull(hub, disk)
    assert not [path for path in disk.folder.rglob("*") if path.is_symlink()]
    assert not [path for path in disk.folder.rglob("*") if path.is_file() and path.stat().st_size == 300_000]


def test_a_damaged_beginning_is_dropped_and_the_file_comes_anew(hub, disk):
    sha256 = hashlib.sha256(b"w" * 300_000).hexdigest()
    blob = disk.blob(BASE, sha256)
    blob.parent.mkdir(parents=True)
    blob.with_name(f"{sha256}.incomplete").write_bytes(b"x" * 1000)
    pulled = pull(hub, disk)
    assert blob.read_bytes() == b"w" * 300_000
    assert pulled.has(PARTS[0])


def test_a_file_that_rotted_on_the_disk_is_fetched_again(hub, disk):
    first = pull(hub, disk)
    path = (first.path(PARTS[0]) / "weights.safetensors").resolve()
    path.write_bytes(b"v" * 300_000)
    pull(hub, first)
    assert path.read_bytes() == b"w" * 300_000


def test_a_name_that_leads_out_of_the_folder_is_refused(hub, disk):
    hub.repos[BASE].files["transformer/../../../escaped.json"] = b"{}"
    with pytest.raises(PullFailed, match="as no hub does"):
        pull(hub, disk)


# --- Refused --------------------------------------------------------------------------------------------


def test_a_gated_repository_says_where_to_accept_its_terms(hub, disk):
    hub.repos[BASE].token = "hf_right"
    with pytest.raises(
        HubRefused, match=rf"gated. Accept its terms at {hub.url}/{BASE}.*SAFELIGHT_HUB_TOKEN"
    ):
        pull(hub, disk)
    assert pull(hub, disk, token="hf_right").has(PARTS[0])


def test_a_token_that_was_not_let_in_is_told_so(hub, disk):
    hub.repos[BASE].token, hub.repos[BASE].admitted = "hf_right", False
    with pytest.raises(HubRefused, match="has not been let in"):
        pull(hub, disk, token="hf_right")


def test_the_token_is_not_sent_to_where_the_large_files_are(hub, disk):
    hub.repos[BASE].token = "hf_right"
    pull(hub, disk, token="hf_right")
    assert {came.headers.get("authorization") for came in hub.requests} == {"Bearer hf_right"}
    assert {came.headers.get("authorization") for came in hub.large_requests} == {None}


def test_a_saved_token_is_not_sent_to_a_mirror(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_saved")
    home = Settings(data_dir=tmp_path)
    assert Hub.of(home).token == "hf_saved"
    assert Hub.of(home.model_copy(update={"hub_url": hub.url})).token == ""
    told = home.model_copy(update={"hub_url": hub.url, "hub_token": SecretStr("hf_own")})
    assert Hub.of(told).token == "hf_own"


@pytest.mark.parametrize("token", ["", "hf_any"])
def test_a_missing_repository_is_named(hub, disk, token):
    del hub.repos[UNION]
    with pytest.raises(HubRefused, match=f"There is no repository {UNION}"):
        pull(hub, disk, token=token)


def test_a_file_that_the_repository_does_not_have_is_told_with_what_it_has(hub, disk):
    del hub.repos[UNION].files["Union-2.1-2602-8steps.safetensors"]
    with pytest.raises(
        PullFailed, match=r"like \*-2.1-2602-8steps.*has 0.*Union-2.1-2601-8steps.safetensors"
    ):
        pull(hub, disk)


def test_a_busy_hub_is_asked_again(hub, disk, monkeypatch):
    impatient = SimpleNamespace(**vars(time) | {"sleep": lambda seconds: None})
    monkeypatch.setattr("huggingface_hub.utils._http.time", impatient)
    seen = Seen()
    seen.resolved = lambda listing, *_: listing.repo == UNION and setattr(hub.repos[UNION], "busy", 1)
    assert pull(hub, disk, watch=seen).has(PARTS[2])


def test_a_hub_that_is_busy_when_it_is_asked_for_its_files_is_asked_again(hub, disk, naps):
    hub.repos[BASE].busy, hub.repos[BASE].busy_s = 2, 5
    assert pull(hub, disk).has(PARTS[0])
    assert naps == [5, 5]


def test_a_hub_that_stays_busy_is_told(hub, disk, naps):
    hub.repos[BASE].busy = 100
    with pytest.raises(HubUnreachable, match=r"too many requests.*in some minutes.*SAFELIGHT_HUB_TOKEN"):
        pull(hub, disk)
    assert naps == [1, 2, 4]


def test_a_hub_that_asks_for_a_long_pause_is_left_alone(hub, disk, naps):
    hub.repos[BASE].busy, hub.repos[BASE].busy_s = 100, 240
    with pytest.raises(HubUnreachable, match=r"pull again in 240 seconds"):
        pull(hub, disk)
    assert naps == []


def test_a_token_that_the_hub_does_not_know_is_told(hub, disk):
    hub.repos[BASE].known_tokens = {"hf_right"}
    with pytest.raises(HubRefused, match="does not know this token"):
        pull(hub, disk, token="hf_wrong")


def test_a_hub_that_is_away_is_told(disk):
    with hub_server() as gone:
        pass
    with pytest.raises(HubUnreachable, match="cannot be reached"):
        pull(gone, disk)


def test_no_room_is_told_before_anything_comes(hub, disk, monkeypatch):
    usage = shutil.disk_usage(disk.folder.parent)
    left = usage._replace(free=10**9 + 1000)
    monkeypatch.setattr("safelight.weights.pull.shutil.disk_usage", lambda _: left)
    with pytest.raises(
        PullFailed, match=r"315.0 kB have to come, and 1.0 GB are free.*SAFELIGHT_WEIGHTS_DIR"
    ):
        pull(hub, disk)
    assert not disk.folder.exists()
    assert hub.large_requests == []


def test_a_disk_that_is_full_midway_is_told_and_what_came_stays(hub, disk, monkeypatch):
    writes = []

    def write(counted, data):
        writes.append(data)
        if len(writes) > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(counted, data)

    real = _Counted.write
    monkeypatch.setattr(_Counted, "write", write)
    with pytest.raises(PullFailed, match=r"No space left on device. What has come stays"):
        pull(hub, disk)
    monkeypatch.setattr(_Counted, "write", real)
    seen = Seen()
    assert pull(hub, disk, watch=seen).has(PARTS[0])
    assert 0 < seen.sums[0] < 315_012


def test_a_folder_that_cannot_be_written_is_told(hub, disk):
    disk.folder.mkdir()
    disk.repo_folder(BASE).write_text("in the way")
    with pytest.raises(PullFailed, match=r"cannot be written: .*SAFELIGHT_WEIGHTS_DIR"):
        pull(hub, disk)


# --- Held ------------------------------------------------------------------------------------------------


def test_a_commit_is_held_until_an_upgrade(hub, disk):
    first = pull(hub, disk)
    old = hub.repos[BASE].commit
    hub.repos[BASE].commit = "b" * 40
    hub.repos[BASE].files["transformer/weights.safetensors"] = b"n" * 300_000
    with pytest.raises(PullFailed, match="--upgrade"):  # this server forgets old commits at once
        pull(hub, first)
    second = pull(hub, first, upgrade=True)
    assert second.lock.repos[BASE].commit == "b" * 40
    assert second.lock.repos[UNION].commit == first.lock.repos[UNION].commit
    assert delete_unheld(first, second.lock) == 300_000
    assert not first.snapshot(BASE, old).exists()
    assert (second.path(PARTS[0]) / "weights.safetensors").read_bytes() == b"n" * 300_000
    assert (second.path(PARTS[0]) / "config.json").read_bytes() == b'{"dim": 4}'


def test_offline_checks_what_is_here_and_asks_nobody(hub, disk):
    first = pull(hub, disk)
    hub.requests.clear()
    assert pull(hub, first, offline=True).lock == first.lock
    (first.path(PARTS[0]) / "config.json").resolve().unlink()
    with pytest.raises(
        PullFailed, match=r"1 files are not here, among them Maker/Painter/transformer/config.json"
    ):
        pull(hub, first, offline=True)
    assert hub.requests == []


def test_offline_takes_over_what_the_hubs_own_client_brought(hub, disk):
    from huggingface_hub import hf_hub_download

    for repo, published in hub.repos.items():
        for path in published.files:
            hf_hub_download(repo, path, cache_dir=disk.folder, endpoint=hub.url, token=False)
    taken = pull(hub, disk, offline=True)
    assert all(taken.has(part) for part in PARTS)
    with pytest.raises(PullFailed, match="pull it without --offline once"):
        pull(hub, disk, (Part("other/repo", "x"),), offline=True)


@pytest.mark.parametrize("with_links", [True, False])
def test_offline_takes_over_a_folder_that_another_machine_has_pulled(hub, disk, with_links):
    pull(hub, disk)
    brought = WeightsDisk(disk.folder.with_name("brought"))
    shutil.copytree(disk.folder, brought.folder, symlinks=with_links)
    taken = pull(hub, brought, offline=True)
    assert all(taken.has(part) for part in PARTS)
    for repo, held in taken.lock.repos.items():
        assert held.commit == hub.repos[repo].commit
        for path, file in held.files.items():
            assert file.sha256 == hashlib.sha256(hub.repos[repo].files[path]).hexdigest()


def test_offline_names_what_an_earlier_pull_left_out(hub, disk):
    first = pull(hub, disk, PARTS[:1])
    with pytest.raises(PullFailed, match=r"scheduler/ of Maker/Painter is not here; pull without --offline"):
        pull(hub, first, PARTS[:2], offline=True)


def test_a_file_that_two_repositories_share_comes_once(hub, disk, tmp_path):
    first = pull(hub, disk)
    other = tmp_path / "other"
    (other / "text").mkdir(parents=True)
    (other / "text" / "weights.safetensors").write_bytes(b"w" * 300_000)
    hub.add("other/repo", other)
    hub.large_requests.clear()
    second = pull(hub, first, (Part("other/repo", "text"),))
    assert hub.large_requests == []
    both = WeightsDisk(disk.folder.with_name("elsewhere"))
    seen = Seen()
    pull(hub, both, (PARTS[0], Part("other/repo", "text")), watch=seen)
    assert seen.sums == [300_010]
    assert len(hub.large_requests) == 1
    one, two = (second.path(Part(BASE, "transformer")), second.path(Part("other/repo", "text")))
    assert (one / "weights.safetensors").samefile(two / "weights.safetensors")


def test_removing_gives_space_back_and_keeps_what_others_need(hub, disk):
    first = pull(hub, disk)
    lock = without(first, PARTS, kept=PARTS[2:])
    assert delete_unheld(first, lock) == 300_000 + len(b'{"dim": 4}') + 2
    left = WeightsDisk(disk.folder, lock)
    assert [left.has(part) for part in PARTS] == [False, False, True]
    assert not disk.repo_folder(BASE).exists()
    assert delete_unheld(left, Lock()) > 0
    assert not disk.repo_folder(UNION).exists()


def test_a_damaged_lock_is_told(tmp_path):
    (tmp_path / "lock").write_text('{"repos": {"a/b": {"revision": "main", "commit": "x", "files": {}}}}')
    with pytest.raises(Exception, match="is damaged; delete it and pull"):
        read_lock(tmp_path / "lock")


# --- The commands ----------------------------------------------------------------------------------------


def environment(hub, tmp_path, **settings):
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    (models / "painter.py").write_text(OWN_MODEL)
    return {
        "data_dir": tmp_path / "data",
        "models_dir": models,
        "hub_url": hub.url,
        "device": "cpu",
        **settings,
    }


def start_pull(hub, tmp_path):
    return subprocess.Popen(
        [sys.executable, "-m", "safelight", "models", "pull", "maker/painter"],
        env=clean_environment(**environment(hub, tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition, limit_s=60):
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def run(hub, tmp_path, *arguments, **settings):
    given = clean_environment(**environment(hub, tmp_path, **settings))
    return CliRunner().invoke(cli, ["models", *arguments], env=given)


def test_the_commands_pull_list_and_remove(hub, tmp_path):
    pulled = run(hub, tmp_path, "pull", "maker/painter")
    assert pulled.exit_code == 0, pulled.output
    assert "maker/painter: 315.0 kB, complete" in pulled.stdout
    assert f"{BASE} at c0ffee000000: 2 files" in pulled.stderr
    listed = run(hub, tmp_path, "list").stdout
    assert "real weights: 315.0 kB, complete" in listed
    assert "safelight models pull aidc-ai/ovis-image" in listed
    removed = run(hub, tmp_path, "remove", "maker/painter")
    assert (removed.exit_code, removed.stdout) == (0, "300.0 kB are free again\n")
    assert "What maker/sketcher shares with it stays" in removed.stderr
    assert "lacks transformer; pull it again" in run(hub, tmp_path, "list").stdout


def test_what_an_interrupted_pull_left_is_listed_and_can_be_removed(hub, tmp_path):
    hub.repos[BASE].corrupt = {"transformer/weights.safetensors"}
    assert run(hub, tmp_path, "pull", "maker/painter").exit_code == 1
    begun = next((tmp_path / "data/weights/models--Maker--Painter/blobs").iterdir())
    begun.with_name("0" * 64 + ".incomplete").write_bytes(b"w" * 200_000)
    listed = run(hub, tmp_path, "list").stdout
    assert re.search(
        r"maker/painter .*: 2\d\d.\d kB of a pull that did not end; safelight models pull", listed
    )
    removed = run(hub, tmp_path, "remove", "maker/painter").stdout
    assert re.fullmatch(r"2\d\d.\d kB are free again\n", removed)
    left = [path.name for path in (tmp_path / "data/weights").rglob("*") if path.is_file()]
    assert left == [".safelight.lock"]


def test_a_pull_clears_away_what_an_earlier_commit_had_begun(hub, tmp_path):
    blobs = tmp_path / "data/weights/models--Maker--Painter/blobs"
    blobs.mkdir(parents=True)
    (blobs / ("0" * 64 + ".incomplete")).write_bytes(b"w" * 200_000)
    assert run(hub, tmp_path, "pull", "maker/painter").exit_code == 0
    assert not list(blobs.glob("*.incomplete"))


def test_a_refusal_has_an_exit_code_for_scripts(hub, tmp_path):
    hub.repos[BASE].token = "hf_right"
    refused = run(hub, tmp_path, "pull", "maker/painter")
    assert (refused.exit_code, refused.stdout) == (77, "")
    assert "is gated" in refused.stderr
    hub.repos[BASE].busy, hub.repos[BASE].busy_s = 100, 240
    assert run(hub, tmp_path, "pull", "maker/painter").exit_code == 75
    hub.repos[BASE].busy = 0
    assert run(hub, tmp_path, "pull", "maker/painter", hub_token="hf_right").exit_code == 0


def test_one_pull_at_a_time(hub, tmp_path):
    with one_at_a_time(Settings(data_dir=tmp_path / "data")):
        second = run(hub, tmp_path, "pull", "maker/painter")
    assert second.exit_code == 1
    assert "Another pull or removal is at work" in second.stderr
