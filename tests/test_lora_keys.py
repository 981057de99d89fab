import pytest
import torch

from safelight.errors import InvalidLora, LoraIncompatible
from safelight.loras.bases import base_of
from safelight.loras.keys import Kind, fit_controlnet, fit_lora, identify
from safelight.loras.safetensors_header import Header, TensorInfo
from tests.lora_files import ab, formats, pairs, with_shared_down

BLOCKS = ("layers.0", "layers.1", "noise_refiner.0", "context_refiner.0")
TARGETS = {
    f"{block}.{module}": size
    for block in BLOCKS
    for module, size in {
        "attention.to_q": (64, 64),
        "attention.to_k": (64, 64),
        "attention.to_v": (64, 64),
        "attention.to_out.0": (64, 64),
        "feed_forward.w1": (170, 64),
        "feed_forward.w2": (64, 170),
        "feed_forward.w3": (170, 64),
        "adaLN_modulation.0": (256, 64),
    }.items()
} | {"all_x_embedder.2-1": (64, 16), "all_final_layer.2-1.linear": (16, 64), "cap_embedder.1": (64, 32)}


def header(tensors, metadata=None):
    infos = {
        name: TensorInfo("F32", tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else tuple(tensor))
        for name, tensor in tensors.items()
    }
    return Header(infos, metadata or {}, 0)


DOWN = "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
MADE = with_shared_down(pairs(TARGETS))


@pytest.mark.parametrize("name", formats(MADE))
def test_every_format_matches_every_module(name):
    found = header(formats(MADE)[name])
    assert identify(found) is Kind.LORA
    fit = fit_lora(found, TARGETS)
    assert (fit.matched, fit.expected) == (len(TARGETS), len(TARGETS))
    assert {module for modules in fit.adapters for module in modules} == set(TARGETS)


def test_the_authors_names_of_single_layers_are_known():
    named = {
        "diffusion_model.x_embedder": MADE["all_x_embedder.2-1"],
        "diffusion_model.final_layer.linear": MADE["all_final_layer.2-1.linear"],
    }
    assert set(fit_lora(header(ab(named)), TARGETS).adapters) == {
        ("all_x_embedder.2-1",),
        ("all_final_layer.2-1.linear",),
    }


def test_a_lora_for_more_layers_matches_what_is_there():
    deeper = MADE | {"layers.2.attention.to_q": MADE["layers.0.attention.to_q"]}
    fit = fit_lora(header(ab(deeper, "diffusion_model.")), TARGETS)
    assert (fit.matched, fit.expected) == (len(TARGETS), len(TARGETS) + 1)


def test_a_lora_of_other_widths_is_incompatible_and_says_which():
    wide = {"layers.0.attention.to_q": (torch.zeros(4, 3840), torch.zeros(3840, 4))}
    with pytest.raises(LoraIncompatible) as caught:
        fit_lora(header(ab(wide, "diffusion_model.")), TARGETS)
    assert caught.value.message == (
        "The LoRA was made for Z-Image. It changes a layer of 3840→3840; here it is 64→64."
    )


@pytest.mark.parametrize(
    ("tensors", "base"),
    [
        (
            {
                f"lora_unet_{DOWN}.lora_down.weight": (
                    4,
                    768,
                ),
                f"lora_unet_{DOWN}.lora_up.weight": (
                    320,
                    4,
                ),
            },
            "Stable Diffusion 1.5",
        ),
        (
            {
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 2048),
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight": (640, 4),
            },
            "Stable Diffusion XL",
        ),
        (
            {
                "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (4, 3072),
                "transformer.single_transformer_blocks.0.attn.to_q.lora_B.weight": (3072, 4),
            },
            "FLUX",
        ),
        (
            {
                "diffusion_model.blocks.0.self_attn.q.lora_down.weight": (4, 5120),
                "diffusion_model.blocks.0.self_attn.q.lora_up.weight": (5120, 4),
            },
            "Wan",
        ),
        (
            {
                "transformer_blocks.0.img_mlp.net.0.proj.lora_A.weight": (4, 3072),
                "transformer_blocks.0.img_mlp.net.0.proj.lora_B.weight": (3072, 4),
            },
            "Qwen-Image",
        ),
    ],
)
def test_a_lora_of_another_base_is_incompatible_and_names_it(tensors, base):
    with pytest.raises(LoraIncompatible, match=f"The LoRA was made for {base}."):
        fit_lora(header(tensors), TARGETS)


@pytest.mark.parametrize(
    ("metadata", "base"),
    [
        ({"modelspec.architecture": "flux-1-dev/lora"}, "flux-1-dev"),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "sdxl_base_v1-0"),
        ({"base_model": "Tongyi-MAI/Z-Image-Turbo"}, "Z-Image-Turbo"),
        ({"ss_sd_model_name": "/home/somebody/secret/model.safetensors"}, "model.safetensors"),
        ({"base_model": "<script>alert(1)</script>\n" + "x" * 500}, "script"),
        ({}, ""),
    ],
)
def test_what_a_file_says_of_its_base_is_cut_and_cleaned(metadata, base):
    found = base_of(header({"whatever.lora_A.weight": (4, 8)}, metadata))
    assert found.startswith(base)
    assert len(found) <= 60
    assert not set("<>/\n") & set(found)
    assert bool(found) == bool(base)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("diffusion_model.layers.0.attention.to_q.lokr_w1", "LoKr"),
        ("lora_unet_layers_0_attention_to_q.hada_w1_a", "LoHa"),
        ("diffusion_model.layers.0.attention.to_q.oft_blocks", "OFT"),
        ("diffusion_model.layers.0.attention.to_q.dora_scale", "DoRA"),
    ],
)
def test_adapters_of_other_kinds_are_named_and_refused(name, kind):
    with pytest.raises(InvalidLora, match=kind):
        identify(header({name: (4, 4)} | ab({"layers.0.attention.to_q": MADE["layers.0.attention.to_q"]})))


def test_a_whole_model_is_no_lora():
    with pytest.raises(InvalidLora, match="whole model"):
        identify(header({"layers.0.attention.to_q.weight": (64, 64)}))


def test_half_a_pair_is_refused():
    with pytest.raises(InvalidLora, match="half"):
        fit_lora(header({"layers.0.attention.to_q.lora_A.weight": (4, 64)}), TARGETS)


@pytest.mark.parametrize(
    ("down", "up"), [((4, 64), (64, 5)), ((0, 64), (64, 0)), ((4, 64, 1, 1), (64, 4, 1, 1))]
)
def test_a_pair_whose_halves_do_not_fit_is_refused(down, up):
    tensors = {"layers.0.attention.to_q.lora_A.weight": down, "layers.0.attention.to_q.lora_B.weight": up}
    with pytest.raises(InvalidLora):
        fit_lora(header(tensors), TARGETS)


def test_a_layer_that_is_changed_twice_is_refused():
    twice = ab({"layers.0.attention.to_q": MADE["layers.0.attention.to_q"]})
    twice |= ab({"layers.0.attention.to_q": MADE["layers.0.attention.to_q"]}, "transformer.")
    with pytest.raises(InvalidLora, match="twice"):
        fit_lora(header(twice), TARGETS)


def test_a_controlnet_is_told_from_a_lora():
    embedder = "control_all_x_embedder.2-1.weight"
    found = header({embedder: (64, 132), "control_layers.0.after_proj.weight": (64, 64)})
    assert identify(found) is Kind.CONTROLNET
    fit_controlnet(found, TARGETS)
    with pytest.raises(LoraIncompatible, match="Z-Image-Turbo"):
        fit_controlnet(header({embedder: (3840, 132)}), TARGETS)
