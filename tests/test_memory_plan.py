import pytest

from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.settings import Precision
from safelight.weights.memory_plan import (
    WORKING_BYTES,
    PartSize,
    fitting_pixels,
    leaner,
    make_plan,
    published_sizes,
    size_on_disk,
)

GB = 10**9
GIB = 2**30


def plan_of(model, card_gib, precision=Precision.BF16):
    # What a card of that size has free: the driver keeps some of it.
    free = int(card_gib * GIB * 0.96)
    return make_plan(published_sizes(model.weights.real, precision), free, precision=precision)


@pytest.mark.parametrize("model", [ZImageControlNet, OvisImage, WanImageToImage])
def test_everything_stays_on_a_large_card(model):
    plan = plan_of(model, 80)
    assert plan.streamed_bytes == 0
    assert plan.precision is Precision.BF16


def test_on_24_gb_the_text_encoder_is_out_and_the_rest_stays():
    plan = plan_of(ZImageControlNet, 24)
    assert {part.name for part in plan.parts if part.streamed_bytes} == {"text_encoder"}
    assert plan.part("transformer").staying_bytes == 2 * 6_154_908_736


def test_on_16_gb_blocks_are_streamed_and_those_of_the_controlnet_first():
    plan = plan_of(ZImageControlNet, 16)
    assert plan.part("text_encoder").staying_bytes == 0
    assert plan.part("controlnet").staying_bytes == 0
    assert 0.6 < plan.part("transformer").staying_bytes / (2 * 6_154_908_736) < 1
    assert plan.part("vae").streamed_bytes == 0
    assert plan.peak_bytes <= plan.budget_bytes


@pytest.mark.parametrize("card_gib", [6, 8, 12, 16, 24, 32, 48, 80])
@pytest.mark.parametrize("model", [ZImageControlNet, OvisImage, WanImageToImage])
def test_a_plan_keeps_within_its_budget_and_a_larger_card_keeps_more(model, card_gib):
    plan, more = plan_of(model, card_gib), plan_of(model, card_gib * 1.2)
    assert plan.peak_bytes <= plan.budget_bytes
    assert more.staying_bytes >= plan.staying_bytes


def test_fp8_halves_what_fills_the_card():
    plan = plan_of(ZImageControlNet, 16, Precision.FP8)
    assert plan.part("transformer").size.bytes == 6_154_908_736
    assert {part.name for part in plan.parts if part.streamed_bytes} == {"text_encoder"}


def test_a_card_without_room_for_the_leanest_has_no_plan():
    assert plan_of(ZImageControlNet, 4) is None


def test_a_leaner_plan_keeps_less_until_there_is_none():
    plan = plan_of(ZImageControlNet, 80)
    kept = [plan.staying_bytes]
    while plan := leaner(plan):
        kept.append(plan.staying_bytes)
        assert plan.budget_bytes == int(80 * GIB * 0.96)
    assert kept == sorted(kept, reverse=True)
    assert 3 <= len(kept) <= 10
    assert kept[-1] < GB


def test_what_would_fit_follows_from_what_is_free():
    plan = plan_of(ZImageControlNet, 8)
    assert 512 * 512 < fitting_pixels(plan) < 2048 * 2048


def test_sizes_are_read_off_headers_block_by_block(tmp_path):
    import safetensors.torch
    import torch

    tensors = {f"layers.{n}.weight": torch.zeros(10, 10) for n in range(4)} | {"head.weight": torch.zeros(7)}
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert size_on_disk("x", tmp_path, 2) == PartSize("x", 2 * 407, 200)
    assert size_on_disk("x", tmp_path / "model.safetensors", 1) == PartSize("x", 407, 100)
    assert size_on_disk("x", tmp_path / "config.json", 2) == PartSize("x", 0, 0)


def test_the_allowance_to_compute_is_kept_free():
    size = PartSize("transformer", 10 * GB, GB // 2)
    assert make_plan([size], 10 * GB + WORKING_BYTES).streamed_bytes == 0
    assert make_plan([size], 10 * GB + WORKING_BYTES - 1).streamed_bytes > 0
