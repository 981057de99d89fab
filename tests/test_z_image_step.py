"""A step of Z-Image costs less than diffusers', and gives the same numbers."""

from collections import Counter

import pytest
import torch
from diffusers import ZImageControlNetModel, ZImageTransformer2DModel
from torch.utils.flop_counter import FlopCounterMode

from safelight.engine.control import Window, WindowedControlNet
from safelight.engine.controlnet_file import shipped
from safelight.engine.once import remembering
from safelight.engine.z_image_controlnet import LeanControlNet
from safelight.engine.z_image_transformer import LeanTransformer
from tests.meta_traffic import TrafficMode
from tests.tiny_weights import DIM, HEADS, TEXT_DIM

TINY = {
    "dim": DIM,
    "n_refiner_layers": 2,
    "n_heads": HEADS,
    "n_kv_heads": HEADS,
}
KINDS = {"v1": None, "2.0": "control_layers", "2.1": "control_noise_refiner"}


def networks(kind):
    """diffusers' transformer and ControlNet, and ours, on the same random weights."""
    torch.manual_seed(0)
    base = ZImageTransformer2DModel(n_layers=3, cap_feat_dim=TEXT_DIM, axes_dims=[8, 4, 4], **TINY).eval()
    control = ZImageControlNetModel(
        control_layers_places=[0, 2],
        control_refiner_layers_places=[0, 1] if KINDS[kind] else None,
        control_in_dim=33 if KINDS[kind] else 16,
        add_control_noise_refiner=KINDS[kind],
        **TINY,
    ).eval()
    for module in (base, control):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    ours = (
        LeanTransformer.from_config(base.config).eval(),
        WindowedControlNet.from_config(control.config).eval(),
    )
    ours[0].load_state_dict(base.state_dict())
    ours[1].load_state_dict(control.state_dict())
    return (base, lend(control, base)), (ours[0], lend(ours[1], ours[0]))


def lend(controlnet, transformer):
    return ZImageControlNetModel.from_transformer(controlnet, transformer)


def steps_of(networks, inputs, times=(0.1, 0.6)):
    """What the pipelines do in each step of one image."""
    transformer, controlnet = networks
    latents, prompt, control = inputs
    drawn = []
    for time in times:
        x, t = [latents + time], torch.tensor([time], device=latents.device)
        hints = controlnet(x, t, prompt, control, conditioning_scale=0.7)
        drawn.append(transformer(x, t, prompt, controlnet_block_samples=hints)[0][0])
    return drawn


def inputs(networks, rows=8, columns=6, tokens=20, device="cpu", dtype=torch.float32):
    channels = networks[1].config.control_in_dim
    width = networks[0].config.cap_feat_dim
    shapes = (16, 1, rows, columns), (tokens, width), (1, channels, 1, rows, columns)
    latents, prompt, control = (torch.randn(shape, device=device, dtype=dtype) for shape in shapes)
    return latents, [prompt], control


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [6, 16])  # with padding behind the image, and without
@torch.inference_mode()
def test_our_steps_are_diffusers_steps(kind, columns):
    theirs, ours = networks(kind)
    given = inputs(theirs, columns=columns)
    with remembering(*ours):
        found = steps_of(ours, given)
    for one, other in zip(found, steps_of(theirs, given), strict=True):
        assert torch.equal(one, other)


@torch.inference_mode()
def test_what_is_remembered_ends_with_the_job():
    _, ours = networks("2.1")
    given = inputs(ours)
    with remembering(*ours):
        before = steps_of(ours, given)
    torch.nn.init.normal_(
        ours[0].context_refiner[0].feed_forward.w1.weight
    )  # as a LoRA of the next job would
    with remembering(*ours):
        assert not torch.equal(steps_of(ours, given)[0], before[0])


@torch.inference_mode()
def test_hoisted_work_is_done_once():
    theirs, ours = networks("2.1")
    given, counts = inputs(theirs), []
    for found in (theirs, ours):
        calls = Counter()
        transformer, controlnet = found
        watched = {
            "prompt": transformer.context_refiner[0],
            "first refiner": transformer.noise_refiner[0],
            "time": transformer.t_embedder,
            "control": controlnet.control_all_x_embedder["2-1"],
        }
        for name, module in watched.items():
            module.register_forward_hook(lambda *_, name=name, calls=calls: calls.update([name]))
        with remembering(*found):
            steps_of(found, given, times=(0.1, 0.3, 0.6, 0.9))
        counts.append(calls)
    assert counts[0] == {"prompt": 8, "first refiner": 8, "time": 8, "control": 4}
    assert counts[1] == {"prompt": 1, "first refiner": 4, "time": 4, "control": 1}


@torch.inference_mode()
def test_no_attention_gets_a_mask(monkeypatch):
    masks = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def watched(query, key, value, attn_mask=None, **options):
        masks.append(attn_mask is not None)
        return attend(query, key, value, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    for found, with_masks in zip(networks("2.1"), (True, False), strict=True):
        masks.clear()
        steps_of(found, inputs(found))
        assert masks
        assert any(masks) is with_masks


@torch.inference_mode()
def test_a_mask_image_alone_silences_the_control_image_once():
    _, ours = networks("2.1")
    given = inputs(ours)
    silent = given[2].clone()
    silent[:, :16] = 0
    expected = steps_of(ours, (*given[:2], silent))
    kept = given[2].clone()
    with remembering(*ours), ours[1].within(Window(0, 1, 2), without_image=True):
        found = steps_of(ours, given)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert torch.equal(given[2], kept)


@pytest.fixture(scope="module")
def real_sized():
    """The published networks at their full size, without numbers: theirs and ours."""
    with torch.device("meta"):
        theirs = ZImageTransformer2DModel(), ZImageControlNetModel(**shipped()["2.1"])
        ours = LeanTransformer(), LeanControlNet(**shipped()["2.1"])
    for transformer, controlnet in (theirs, ours):
        transformer.to(torch.bfloat16)
        controlnet.to(torch.bfloat16)
        # Tables, which diffusers makes on the CPU.
        transformer.rope_embedder.freqs_cis = [
            table.to("meta")
            for table in transformer.rope_embedder.precompute_freqs_cis([32, 48, 48], [1024, 512, 512])
        ]
        lend(controlnet, transformer)
    return theirs, ours


@torch.inference_mode()
def test_a_step_at_full_size_computes_and_moves_less(real_sized):
    """1024×1024 pixels, a prompt of 128 tokens, per step of eight."""
    flops, moved = [], []
    for found, times in zip(real_sized, ([0.1], [0.1, 0.2]), strict=True):  # ours does more in its first
        given = inputs(found, 128, 128, 128, device="meta", dtype=torch.bfloat16)
        with FlopCounterMode(display=False) as counted, TrafficMode() as traffic, remembering(*found):
            steps_of(found, given, times)
        flops.append(counted.get_total_flops() / len(times) / 1e12)
        moved.append(traffic.bytes / len(times) / 1e9)
    assert [round(count, 1) for count in flops] == [92.4, 90.5]  # TFLOP
    assert moved[1] < moved[0] * 0.95  # 257 and 242 GB, with attention's products written out
