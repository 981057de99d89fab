import hashlib

import numpy as np
import pytest
import torch
from diffusers import ZImageControlNetModel, ZImageControlNetPipeline
from PIL import Image
from safetensors.torch import load_file

from safelight.engine.lora import linear_modules
from safelight.engine.runner import RunStopped
from safelight.errors import InvalidLora, LoraIncompatible
from safelight.loras.references import LoraFile, LoraUse
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.models.z_image_inpainting import ZImageInpainting
from safelight.worker.lora_library import linear_modules as linear_modules_on_disk
from tests.lora_files import ab, alphas, formats, pairs, save, with_shared_down
from tests.z_image import PROMPT, draw_stock, picture, run_with, same, stock

MODEL, INPAINTING = ZImageControlNet(), ZImageInpainting()
SIZE = (64, 64)


@pytest.fixture(scope="module")
def targets(pipeline):
    return linear_modules(pipeline.transformer)


@pytest.fixture(scope="module")
def made(targets):
    return with_shared_down(pairs(targets))


@pytest.fixture
def file(tmp_path):
    """Write tensors, get what the worker would hand over."""

    def write(tensors, scale=1.0, kind="lora"):
        path = save(tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors", tensors)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return LoraFile("a/lora", kind, scale, str(path), sha256)

    return write


def draw(pipeline, loader, *loras, notes=None, uses=None, on_step=lambda step, steps: None, **values):
    body = {"prompt": PROMPT, "image_url": "file:x", "loras": [], "num_inference_steps": 2, "control_end": 1}
    request = MODEL.Input.accepted(MODEL.Input.parse(body | values).settled())
    run = run_with(loader, {"image_url": picture(*SIZE)}, notes=notes, loras=loras, on_step=on_step)
    (output,) = MODEL.generate(pipeline, request, run)
    if uses is not None:
        uses += run.report.loras
    return output


def test_both_ends_know_the_same_modules(weights, targets):
    assert linear_modules_on_disk(weights / "z-image" / "transformer") == targets


def test_a_lora_equals_diffusers_own_loading(pipeline, loader, weights, made, file):
    lora = file(ab(made, "transformer."))
    ours = draw(pipeline, loader, lora, control_scale=0.9)
    theirs = stock(ZImageControlNetPipeline, pipeline, weights)
    # From memory: a mapped file is aligned otherwise, and that shows in the last bits.
    theirs.load_lora_weights({name: tensor.clone() for name, tensor in load_file(lora.path).items()})
    expected = draw_stock(theirs, SIZE, control_image=picture(*SIZE), controlnet_conditioning_scale=0.9)
    theirs.unload_lora_weights()
    assert same(ours, expected)
    assert not same(ours, draw(pipeline, loader, control_scale=0.9))


def test_every_format_gives_the_same_picture(pipeline, loader, made, file):
    outputs, uses = {}, []
    for name, tensors in formats(made).items():
        outputs[name] = draw(pipeline, loader, file(tensors), uses=uses).tobytes()
    assert len(set(outputs.values())) == 1
    assert {(use.matched, use.expected) for use in uses} == {(len(made), len(made))}


def test_alpha_scales_a_lora(pipeline, loader, made, file):
    halved = ab(made, "diffusion_model.") | alphas(made, 2, "diffusion_model.")  # its rank is 4
    assert same(
        draw(pipeline, loader, file(halved)),
        draw(pipeline, loader, file(ab(made), scale=0.5)),
    )


@pytest.mark.parametrize("scale", [0, 1e-12])
def test_scale_0_changes_nothing(pipeline, loader, made, file, scale):
    assert same(draw(pipeline, loader, file(ab(made), scale=scale)), draw(pipeline, loader))


def test_every_scale_up_to_4_shows(pipeline, loader, made, file):
    scales = (0, 0.5, 1, 2, 4)
    outputs = {draw(pipeline, loader, file(ab(made), scale=scale)).tobytes() for scale in scales}
    assert len(outputs) == len(scales)


def test_three_loras_add_up(pipeline, loader, targets, made, file):
    files = [file(ab(pairs(targets, seed=seed, rank=seed + 1))) for seed in range(3)]
    outputs = [draw(pipeline, loader, *files[:count]).tobytes() for count in range(4)]
    assert len(set(outputs)) == 4
    first = draw(pipeline, loader, file(ab(pairs(targets, seed=0, rank=1)), scale=0.5))
    uses = []
    twice = draw(pipeline, loader, *(file(ab(pairs(targets, seed=0, rank=1)), scale=0.25),) * 2, uses=uses)
    assert mean_difference(first, twice) < 1
    assert [use.scale for use in uses] == [0.25, 0.25]


def mean_difference(one, other):
    return np.abs(np.asarray(one, float) - np.asarray(other, float)).mean()


def test_the_result_tells_what_matched(pipeline, loader, made, file):
    notes, uses = [], []
    part = {module: pair for module, pair in made.items() if "attention" in module}
    part |= {f"layers.{number}.attention.to_q": made["layers.0.attention.to_q"] for number in (7, 8)}
    draw(pipeline, loader, file(ab(part), scale=0.5), notes=notes, uses=uses)
    assert uses == [LoraUse("a/lora", "lora", 0.5, len(part) - 2, len(part))]
    assert notes == [f"loras[0]: 2 of its {len(part)} modules are not in this model."]


def test_a_lora_leaves_no_trace(pipeline, loader, made, file):
    state = {name: tensor.clone() for name, tensor in pipeline.transformer.state_dict().items()}
    before = draw(pipeline, loader)
    draw(pipeline, loader, file(ab(made), scale=4), file(ab(made)))
    after = pipeline.transformer.state_dict()
    assert list(after) == list(state)
    assert all(torch.equal(after[name], tensor) for name, tensor in state.items())
    assert same(draw(pipeline, loader), before)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda made: {m: (down * float("nan"), up) for m, (down, up) in made.items()}, InvalidLora),
        (lambda made: {m: (down, up / 0) for m, (down, up) in made.items()}, InvalidLora),
        (lambda made: {f"blocks.{m}": pair for m, pair in made.items()}, LoraIncompatible),
        (lambda made: {m: (down[:, :-1], up) for m, (down, up) in made.items()}, LoraIncompatible),
    ],
)
def test_a_lora_that_cannot_be_used_fails_the_job_and_leaves_no_trace(
    pipeline, loader, made, file, change, error
):
    before = draw(pipeline, loader)
    with pytest.raises(error):
        draw(pipeline, loader, file(ab(made)), file(ab(change(made))))
    assert pipeline.get_list_adapters() == {}
    assert same(draw(pipeline, loader), before)


def test_a_stopped_run_leaves_no_lora_behind(pipeline, loader, made, file):
    before = draw(pipeline, loader)

    def stop(step, steps):
        raise RunStopped

    with pytest.raises(RunStopped):
        draw(pipeline, loader, file(ab(made)), on_step=stop)
    assert same(draw(pipeline, loader), before)


def test_a_file_that_was_swapped_after_its_check_is_refused(pipeline, loader, made, file):
    lora = file(ab(made))
    save(lora.path, ab(pairs(linear_modules(pipeline.transformer), seed=9)))
    with pytest.raises(InvalidLora, match="changed"):
        draw(pipeline, loader, lora)


def test_inpainting_takes_loras_too(loader, made, file):
    pipeline = INPAINTING.load(loader)
    outputs, uses = [], []
    for loras in ((), (file(ab(made)),), ()):
        body = {"prompt": PROMPT, "image_url": "file:x", "mask_image_url": "file:y", "num_inference_steps": 2}
        request = INPAINTING.Input.accepted(INPAINTING.Input.parse(body).settled())
        given = {"image_url": picture(*SIZE), "mask_image_url": Image.new("RGB", SIZE, "white")}
        run = run_with(loader, given, loras=loras)
        outputs += INPAINTING.generate(pipeline, request, run)
        uses += run.report.loras
    assert same(outputs[0], outputs[2])
    assert not same(outputs[0], outputs[1])
    assert [(use.matched, use.expected) for use in uses] == [(len(made), len(made))]


# --- A ControlNet in the LoRA slot ----------------------------------------------------------------------

UNION = "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union"


def test_a_known_controlnet_is_replaced_by_the_loaded_one(pipeline, loader):
    notes, uses = [], []
    lora = LoraFile(UNION, "controlnet", 0.5)
    ours = draw(pipeline, loader, lora, control_scale=0.8, notes=notes, uses=uses)
    assert same(ours, draw(pipeline, loader, control_scale=0.4))
    (use,) = uses
    assert (use.path, use.kind, use.scale, use.substituted) == (UNION, "controlnet", 0.5, True)
    assert notes == [
        "loras[0] is a ControlNet: it controls this request, and its scale multiplies control_scale. "
        "The one that ships with Safelight took its place."
    ]


def test_a_controlnet_from_a_file_controls_its_request_and_no_other(pipeline, loader, weights, file):
    loaded = ZImageControlNetModel.from_pretrained(weights / "z-image" / "controlnet")
    other = ZImageControlNetModel.from_config(loaded.config)
    other.load_state_dict({name: tensor * 1.5 for name, tensor in loaded.state_dict().items()})
    lora = file(other.state_dict(), kind="controlnet")
    before, uses = draw(pipeline, loader, control_scale=0.9), []
    ours = draw(pipeline, loader, lora, control_scale=0.9, uses=uses)
    theirs = stock(ZImageControlNetPipeline, pipeline, weights, other.eval())
    expected = draw_stock(theirs, SIZE, control_image=picture(*SIZE), controlnet_conditioning_scale=0.9)
    assert same(ours, expected)
    assert not same(ours, before)
    assert same(draw(pipeline, loader, control_scale=0.9), before)
    assert not uses[0].substituted


@pytest.mark.parametrize("kind", ["v1", "2.0", "2.1"])
def test_every_version_of_the_controlnet_is_known_by_its_tensors(pipeline, loader, weights, file, kind):
    options = {
        "v1": {"control_in_dim": 16, "add_control_noise_refiner": None},
        "2.0": {"control_in_dim": 33, "add_control_noise_refiner": "control_layers"},
        "2.1": {"control_in_dim": 33, "add_control_noise_refiner": "control_noise_refiner"},
    }[kind]
    torch.manual_seed(1)
    made = ZImageControlNetModel(
        control_layers_places=[0, 2],
        control_refiner_layers_places=[0] if kind != "v1" else None,
        dim=64,
        n_refiner_layers=1,
        n_heads=4,
        n_kv_heads=4,
        **options,
    ).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "proj" in name:
                parameter.normal_(0, 0.5)
    tensors = made.state_dict()
    if kind == "2.0":
        # The published file carries the refiner of 2.1 too, unused and with a first layer of zeros.
        unused = ZImageControlNetModel.from_pretrained(weights / "z-image" / "controlnet").state_dict()
        tensors |= {
            name: tensor * ("before_proj" not in name)
            for name, tensor in unused.items()
            if name.startswith("control_noise_refiner")
        }
    lora = file(tensors, kind="controlnet")
    ours = draw(pipeline, loader, lora, control_scale=0.9)
    theirs = stock(ZImageControlNetPipeline, pipeline, weights, made)
    expected = draw_stock(theirs, SIZE, control_image=picture(*SIZE), controlnet_conditioning_scale=0.9)
    assert same(ours, expected)


def test_a_controlnet_that_cannot_fill_masks_is_refused_for_inpainting(loader, file):
    pipeline = INPAINTING.load(loader)
    made = ZImageControlNetModel(
        control_layers_places=[0], control_in_dim=16, dim=64, n_refiner_layers=1, n_heads=4, n_kv_heads=4
    )
    body = {"prompt": PROMPT, "image_url": "file:x", "mask_image_url": "file:y"}
    request = INPAINTING.Input.accepted(INPAINTING.Input.parse(body).settled())
    given = {"image_url": picture(*SIZE), "mask_image_url": Image.new("RGB", SIZE, "white")}
    run = run_with(loader, given, loras=[file(made.state_dict(), kind="controlnet")])
    with pytest.raises(LoraIncompatible, match="cannot fill masks"):
        INPAINTING.generate(pipeline, request, run)


def test_two_controlnets_are_refused(pipeline, loader):
    with pytest.raises(InvalidLora, match="one ControlNet"):
        draw(pipeline, loader, *(LoraFile(UNION, "controlnet", 1.0),) * 2)


def test_a_controlnet_and_a_lora_go_together(pipeline, loader, made, file):
    lora, controlnet = file(ab(made)), LoraFile(UNION, "controlnet", 1.0)
    assert same(draw(pipeline, loader, lora, controlnet), draw(pipeline, loader, lora))
