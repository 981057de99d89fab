"""Which weights a machine draws with; its GPU is what a stand-in of the driver's own tool says."""

import os
from dataclasses import replace

import pytest

from safelight import devices
from safelight.devices import gpus, main_memory_bytes
from safelight.doctor import Verdict, _model
from safelight.models.base import Part
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.settings import Settings
from safelight.weights.choice import Machine, open_catalogue, plan_for
from safelight.weights.disk import WeightsDisk
from safelight.weights.lock import Lock, LockedFile, LockedRepo, write_lock
from tests.test_real_configurations import sparse_tensors

COMMIT = "c0ffee" + "0" * 34


class WithoutNano(OvisImage):
    """Ovis-Image in an installation without its nano weights."""

    weights = replace(OvisImage.weights, nano={"transformer": Part("nowhere")})


@pytest.fixture
def card(tmp_path, monkeypatch):
    """Gives the machine GPUs, (name, free MiB, total MiB) each, and so much main memory."""

    def give(*cards, main_gb=64):
        rows = [f"{n}, GPU-{n}ab, {name}, {free}, {total}" for n, (name, free, total) in enumerate(cards)]
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(rows) + "\nEND\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
        monkeypatch.setattr("safelight.weights.choice.main_memory_bytes", lambda: main_gb * 10**9)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return give


@pytest.fixture
def settings(tmp_path):
    def make(**given):
        return Settings(data_dir=tmp_path / "data", **given)

    return make


def install(settings, model):
    """The files of a model as if pulled: configurations empty, tensors of the full size in sparse files."""
    disk, repos = WeightsDisk(settings.weights_folder), {}
    for name, part in model.weights.real.items():
        path = part.file.replace("*", "Union") if part.file else f"{part.folder}/x.safetensors".lstrip("/")
        at = disk.snapshot(part.repo, COMMIT) / path
        at.parent.mkdir(parents=True, exist_ok=True)
        sparse_tensors(
            at, {f"layers.{n}.w": (part.parameters // 20,) for n in range(20)} if part.parameters else {}
        )
        files = repos.setdefault(part.repo, {})
        files[path] = LockedFile(at.stat().st_size, "0" * 64, "0" * 64)
        assert name
    held = {repo: LockedRepo("main", COMMIT, files) for repo, files in repos.items()}
    settings.data_dir.mkdir(exist_ok=True)
    write_lock(settings.lock_file, Lock(held))


def chosen(settings, model=OvisImage):
    return open_catalogue(settings).weights_of(model())


def test_auto_takes_real_weights_that_are_here_and_fit(settings, card):
    card(("Big", 80_000, 81_920))
    assert chosen(settings()) != "real"
    install(settings(), OvisImage)
    assert chosen(settings()) == "real"
    assert chosen(settings(weights="nano")) != "real"
    assert chosen(settings(memory_gib=1)) != "real"
    assert chosen(settings(), ZImageControlNet) == "nano"


def test_auto_takes_nano_where_the_card_is_too_small_or_absent(settings, card):
    install(settings(), ZImageControlNet)
    assert chosen(settings(), ZImageControlNet) == "nano"
    card(("Small", 4_000, 4_096))
    assert chosen(settings(), ZImageControlNet) == "nano"
    card(("Small", 15_500, 16_384))
    assert chosen(settings(), ZImageControlNet) == "real"
    assert chosen(settings(device="cpu"), ZImageControlNet) == "nano"


def test_what_is_streamed_needs_main_memory(settings, card):
    install(settings(), ZImageControlNet)
    card(("Card 16", 15_800, 16_384), main_gb=16)
    assert chosen(settings(), ZImageControlNet) == "nano"
    found = _model(ZImageControlNet(), "real", Machine.of(settings()), settings())
    assert found.verdict is Verdict.BAD
    assert "16.0 GB of main memory would be taken, and a worker may take 12.0 GB here" in found.message
    assert chosen(settings(precision="fp8"), ZImageControlNet) == "real"
    card(("Card 16", 15_800, 16_384), main_gb=32)
    assert chosen(settings(), ZImageControlNet) == "real"
    assert chosen(settings(workers=2), ZImageControlNet) == "nano"
    card(("Card 80", 80_000, 81_920), main_gb=16)
    assert chosen(settings(), ZImageControlNet) == "real"


def test_a_containers_memory_is_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_CONTAINER_LIMIT", tmp_path / "memory.max")
    whole = main_memory_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    assert main_memory_bytes() == whole > 10**9
    (tmp_path / "memory.max").write_text("1000000\n")
    assert main_memory_bytes() == 1_000_000


def test_real_is_meant_whatever_the_machine_is(settings):
    assert chosen(settings(weights="real"), ZImageControlNet) is None
    install(settings(), ZImageControlNet)
    assert chosen(settings(weights="real"), ZImageControlNet) == "real"


def test_a_file_that_is_gone_or_cut_is_not_drawn_with(settings, card):
    card(("Big", 80_000, 81_920))
    install(settings(), OvisImage)
    disk = WeightsDisk.of(settings())
    path = disk.path(OvisImage.weights.real["vae"]) / "x.safetensors"
    path.write_bytes(b"")
    assert chosen(settings()) != "real"


def test_the_gpu_with_the_least_memory_decides_among_those_that_may_be_used(settings, card, monkeypatch):
    card(("Big", 80_000, 81_920), ("Small", 9_000, 10_240))
    assert Machine.of(settings()).gpu.name == "Small"
    assert Machine.of(settings(device="cuda:0")).gpu.name == "Big"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-0a")
    assert [gpu.name for gpu in gpus(settings())] == ["Big"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus(settings()) == []


def test_doctor_tells_the_plan_and_its_cost_in_plain_words(settings, card):
    card(("Card 16", 15_800, 16_384))
    install(settings(), ZImageControlNet)
    machine = Machine.of(settings())
    found = _model(ZImageControlNet(), "real", machine, settings())
    assert found.verdict is Verdict.GOOD
    for words in (
        "Card 16 has 16.6 of 17.2 GB free; weights in bf16: transformer",
        "all of the text encoder (8.0 GB) comes from main memory for each prompt, about 0.7 s more",
        "all of the ControlNet (6.7 GB) comes from main memory at each controlled step",
        "no step takes less than 0.6 s",
        "are left to compute with",
        "of main memory are taken",
    ):
        assert words in found.message, found.message


def test_doctor_says_which_command_brings_what_would_fit(settings, card):
    card(("Card 24", 24_000, 24_576))
    found = _model(OvisImage(), None, Machine.of(settings(weights="real")), settings(weights="real"))
    assert found.verdict is Verdict.BAD
    assert found.message.startswith("its real weights are not here; the real ones would fit")
    assert found.message.endswith("safelight models pull aidc-ai/ovis-image")
    without = _model(WithoutNano(), None, Machine.of(settings()), settings())
    assert (without.verdict, without.message[:10]) == (Verdict.NOTE, "not ready:")
    assert "the real ones would fit" in without.message
    assert without.message.endswith("safelight models pull aidc-ai/ovis-image")
    nano = _model(ZImageControlNet(), "nano", Machine.of(settings()), settings())
    assert "the real ones would fit (weights in bf16: transformer 12.3 GB" in nano.message
    assert nano.message.endswith("safelight models pull tongyi-mai/z-image/turbo/controlnet/lora")


def test_doctor_says_who_draws_where_the_vendor_does(settings):
    asked = settings(wan_api_key="k" * 20)
    model = WanImageToImage()
    found = _model(model, open_catalogue(asked).weights_of(model), Machine.of(asked), asked)
    assert (found.verdict, "with your key" in found.message) == (Verdict.GOOD, True)


def test_published_sizes_plan_as_the_files_do(settings, card):
    card(("Card 24", 24_000, 24_576))
    before = plan_for(OvisImage(), Machine.of(settings()), settings())
    install(settings(), OvisImage)
    after = plan_for(OvisImage(), Machine.of(settings()), settings())
    assert abs(before.staying_bytes - after.staying_bytes) < 10**6
