import numpy as np
import pytest
import torch
from diffusers import ZImageControlNetInpaintPipeline, ZImageImg2ImgPipeline, ZImagePipeline
from PIL import Image, ImageDraw, ImageFilter

from safelight.engine.inpaint import steps_of
from safelight.engine.runner import RunStopped
from safelight.errors import InvalidImage
from safelight.images import codec
from safelight.inputs import PIXELS
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.models.z_image_inpainting import ZImageInpainting
from tests.z_image import PROMPT, draw_stock, picture, run_with, same, stock

MODEL = ZImageInpainting()
SIZE = (256, 192)


def mask(box=(64, 48, 160, 112), size=SIZE, white=255):
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=(white,) * 3)
    return image


WHITE = Image.new("RGB", SIZE, "white")


def draw(pipeline, loader, given_mask, image=None, notes=None, on_step=lambda step, steps: None, **values):
    body = {"prompt": PROMPT, "image_url": "file:x", "mask_image_url": "file:y", "num_inference_steps": 2}
    body |= {"control_start": 0, "control_end": 1} | values
    request = MODEL.Input.accepted(MODEL.Input.parse(body).settled())
    given = {"image_url": image or picture(*SIZE), "mask_image_url": given_mask}
    run = run_with(loader, given, seed=request.seed, notes=notes, on_step=on_step)
    (output,) = MODEL.generate(pipeline, request, run)
    return output


def changed(one, other):
    """(H, W): where two images differ at all."""
    return (np.asarray(one) != np.asarray(other)).any(-1)


# --- Parity: with the additions switched off it is diffusers, byte by byte ------------------------------


def without_control_image(controlnet, given):
    latents, *_, context = given[0], given[-1]
    context = context.clone()
    context[:, : latents[0].shape[0]] = 0
    return (*given[:-1], context)


@pytest.mark.parametrize("scale", [0.75, 1])
def test_a_white_mask_at_full_strength_equals_the_untouched_inpainting_pipeline(
    pipeline, loader, weights, scale
):
    theirs = stock(ZImageControlNetInpaintPipeline, pipeline, weights)
    theirs.controlnet.register_forward_pre_hook(without_control_image)
    expected = draw_stock(
        theirs,
        SIZE,
        steps=3,
        seed=5,
        image=picture(*SIZE),
        mask_image=WHITE,
        control_image=picture(*SIZE),
        controlnet_conditioning_scale=scale,
    )
    ours = draw(pipeline, loader, WHITE, num_inference_steps=3, seed=5, control_scale=scale)
    assert same(ours, expected)


def test_without_control_a_white_mask_equals_the_plain_pipeline(pipeline, loader, weights):
    ours = draw(pipeline, loader, WHITE, control_scale=0, seed=2)
    assert same(ours, draw_stock(stock(ZImagePipeline, pipeline, weights), SIZE, seed=2))


@pytest.mark.parametrize(
    ("strength", "steps"),
    [(0.3, 10), (0.35, 10), (0.6, 5), (0.9, 4), (0.99, 30)],
)
def test_strength_equals_the_image_to_image_pipeline(pipeline, loader, weights, strength, steps):
    theirs = stock(ZImageImg2ImgPipeline, pipeline, weights)
    expected = draw_stock(theirs, SIZE, steps, seed=5, image=picture(*SIZE), strength=strength)
    theirs.scheduler.set_begin_index(0)
    ours = draw(
        pipeline, loader, WHITE, strength=strength, num_inference_steps=steps, seed=5, control_scale=0
    )
    assert same(ours, expected)


@pytest.mark.parametrize(
    ("strength", "steps", "expected"),
    [(1, 20, 20), (0.5, 20, 10), (0.35, 10, 4), (0.01, 20, 1), (0, 20, 1), (0, 1, 1), (0.999, 30, 30)],
)
def test_strength_runs_the_last_steps_and_at_least_one(pipeline, loader, strength, steps, expected):
    assert steps_of(strength, steps) == expected


# --- Outside the mask nothing changes -------------------------------------------------------------------


@pytest.mark.parametrize("format", ["png", "webp"])
def test_outside_the_mask_every_pixel_stays(pipeline, loader, tmp_path, format):
    noisy = Image.effect_noise(SIZE, 80).convert("RGB")
    output = draw(pipeline, loader, mask(), noisy, output_format=format)
    (tmp_path / "out").write_bytes(codec.encode(output, format))
    outside = np.asarray(mask())[..., 0] == 0
    differs = changed(codec.decode(tmp_path / "out"), noisy)
    assert not differs[outside].any()
    assert differs[~outside].mean() > 0.9


@pytest.mark.parametrize("size", [(250, 190), (335, 250), (16, 16), (240, 208)])
def test_outside_the_mask_every_pixel_stays_at_a_size_the_pipeline_cannot_work_at(pipeline, loader, size):
    asked = tuple(side // 16 * 16 for side in size)
    original = picture(*size)
    box = (0, 0, size[0] // 2, size[1])
    output = draw(pipeline, loader, mask(box, size), original)
    assert output.size == asked
    kept = original.resize(asked, Image.Resampling.LANCZOS)
    middle = asked[0] // 2 + 2
    assert not changed(output, kept)[:, middle:].any()
    assert changed(output, kept)[:, : middle - 4].any()


def test_a_soft_edge_blends(pipeline, loader):
    soft = mask(white=255).filter(ImageFilter.GaussianBlur(8))
    output, hard = draw(pipeline, loader, soft), draw(pipeline, loader, mask())
    original = picture(*SIZE)
    weight = np.asarray(soft)[..., 0]
    difference = np.abs(np.asarray(output, float) - np.asarray(original, float)).mean(-1)
    assert not changed(output, original)[weight == 0].any()
    near, far = difference[(weight > 0) & (weight < 64)].mean(), difference[weight > 192].mean()
    assert 0 < near < far / 2
    assert not same(output, hard)


def test_a_grey_mask_lies_between_the_input_and_a_white_one(pipeline, loader):
    original = np.asarray(picture(*SIZE), float)
    distances = [
        np.abs(np.asarray(draw(pipeline, loader, mask(white=white)), float) - original).mean()
        for white in (0, 64, 128, 255)
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert len(set(distances)) == 4


# --- Masks of every kind --------------------------------------------------------------------------------


def test_an_all_black_mask_returns_the_input_and_says_so(pipeline, loader):
    notes = []
    output = draw(pipeline, loader, Image.new("RGB", SIZE), notes=notes)
    assert same(output, picture(*SIZE))
    assert notes == ["The mask is all black, so nothing was repainted: this is the input image."]


def test_an_all_white_mask_repaints_everything(pipeline, loader):
    assert changed(draw(pipeline, loader, WHITE), picture(*SIZE)).mean() > 0.9


def test_one_white_pixel_repaints_one_pixel(pipeline, loader):
    output = draw(pipeline, loader, mask((100, 100, 101, 101)))
    where = np.argwhere(changed(output, picture(*SIZE)))
    assert where.tolist() == [[100, 100]]


@pytest.mark.parametrize("size", [(4, 3), (128, 96), (1024, 768), (1000, 745)])
def test_a_mask_of_another_size_is_scaled_to_the_image(pipeline, loader, size):
    half = mask((0, 0, size[0] // 2, size[1]), size)
    differs = changed(draw(pipeline, loader, half), picture(*SIZE))
    assert not differs[:, 170:].any()
    assert differs[:, :80].mean() > 0.9


@pytest.mark.parametrize("size", [(192, 256), (256, 256), (256, 189), (1, 1), (16384, 1)])
def test_a_mask_of_another_shape_is_refused(pipeline, loader, size):
    with pytest.raises(InvalidImage) as caught:
        draw(pipeline, loader, Image.new("RGB", size, "white"))
    assert caught.value.message == (
        f"The mask is {size[0]}×{size[1]} and the image 256×192: give a mask with the image's aspect ratio."
    )


def test_a_mask_may_have_any_mode(pipeline, loader, tmp_path):
    """Read as the child reads it: from its file, transparent parts as black."""
    grey = mask().convert("L")
    strokes = Image.new("RGBA", SIZE, (255, 255, 255, 0))
    strokes.putalpha(grey)
    modes = {
        "L": grey,
        "RGB": mask(),
        "1": grey.convert("1"),
        "P": mask().convert("P"),
        "LA": Image.merge("LA", (grey, Image.new("L", SIZE, 255))),
        "RGBA": strokes,
    }
    backdrop = MODEL.Input.model_fields["mask_image_url"].metadata[-1].backdrop
    outputs = {}
    for mode, image in modes.items():
        image.save(tmp_path / "mask.png")
        outputs[mode] = draw(pipeline, loader, codec.decode(tmp_path / "mask.png", backdrop))
    for mode, output in outputs.items():
        assert same(output, outputs["RGB"]), mode


# --- Every other field ----------------------------------------------------------------------------------


def test_strength_shows(pipeline, loader):
    outputs = [
        draw(pipeline, loader, WHITE, num_inference_steps=4, strength=strength)
        for strength in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert same(outputs[0], outputs[1])  # both run one step
    assert len({output.tobytes() for output in outputs}) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"control_scale": 0.75}, {"control_scale": 0.3}),
        ({"control_end": 1}, {"control_end": 0.5}),
        ({"control_start": 0}, {"control_start": 0.5}),
        ({"num_inference_steps": 2}, {"num_inference_steps": 3}),
        ({"seed": 1}, {"seed": 2}),
        ({"prompt": "a red ball"}, {"prompt": "two blue houses"}),
    ],
)
def test_every_field_shows_in_the_output(pipeline, loader, one, other):
    base = {"num_inference_steps": 4}
    outputs = [draw(pipeline, loader, mask(), **base | values) for values in (one, one, other)]
    assert same(outputs[0], outputs[1])
    assert not same(outputs[0], outputs[2])


def test_the_control_window_counts_the_steps_that_are_run(pipeline, loader):
    half = draw(pipeline, loader, WHITE, num_inference_steps=8, strength=0.5, control_end=0.25)
    none = draw(pipeline, loader, WHITE, num_inference_steps=8, strength=0.5, control_end=0)
    assert not same(half, none)


def test_the_control_image_is_silent(pipeline, loader, monkeypatch):
    seen = []
    forward = type(pipeline.controlnet).__mro__[1].forward

    def spy(self, x, t, cap_feats, control_context, **options):
        seen.append(control_context)
        return forward(self, x, t, cap_feats, control_context, **options)

    monkeypatch.setattr(type(pipeline.controlnet).__mro__[1], "forward", spy)
    draw(pipeline, loader, mask(), num_inference_steps=1)
    (context,) = seen
    assert context.shape[1] == 33
    assert not context[:, :16].any()
    assert set(context[:, 16].unique().tolist()) == {0, 1}
    assert context[:, 17:].any()


def test_thirty_steps_are_reported_one_by_one(pipeline, loader):
    seen = []
    draw(pipeline, loader, mask(), num_inference_steps=30, on_step=lambda *step: seen.append(step))
    assert seen == [(step, 30) for step in range(1, 31)]


@pytest.mark.parametrize("name", PIXELS)
def test_the_output_has_the_named_size(pipeline, loader, name):
    output = draw(pipeline, loader, mask(), image_size=name, num_inference_steps=1)
    assert output.size == PIXELS[name]


def test_auto_shrinks_to_one_megapixel(pipeline, loader):
    big = picture(2000, 2000)
    output = draw(pipeline, loader, mask((0, 0, 9, 9), (2000, 2000)), big, num_inference_steps=1)
    assert output.size == (1024, 1024)


def test_a_stopped_run_leaves_the_pipeline_as_it_was(pipeline, loader):
    before = draw(pipeline, loader, mask())

    def stop(step, steps):
        raise RunStopped

    with pytest.raises(RunStopped):
        draw(pipeline, loader, mask(), on_step=stop)
    assert same(draw(pipeline, loader, mask()), before)


def test_the_controlnet_model_is_unchanged_by_an_inpainting_job(pipeline, loader):
    """They share the ControlNet: what one sets must not stay for the other."""
    other = ZImageControlNet()
    shared = other.load(loader)
    assert shared.controlnet is pipeline.controlnet

    def controlled():
        body = {"prompt": PROMPT, "image_url": "file:x", "loras": [], "num_inference_steps": 1}
        request = other.Input.accepted(other.Input.parse(body).settled())
        (output,) = other.generate(shared, request, run_with(loader, {"image_url": picture(*SIZE)}))
        return output

    before = controlled()
    draw(pipeline, loader, mask())
    assert same(controlled(), before)


def test_torch_noise_is_not_touched(pipeline, loader):
    before = torch.random.get_rng_state()
    draw(pipeline, loader, mask(), strength=0.5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_latents_outside_the_mask_end_as_those_of_the_input(pipeline, loader, monkeypatch):
    decoded = []
    decode = pipeline.vae.decode

    def spy(latents, **options):
        decoded.append(latents)
        return decode(latents, **options)

    monkeypatch.setattr(pipeline.vae, "decode", spy)
    draw(pipeline, loader, mask((64, 64, 160, 112)))
    with torch.inference_mode():
        pixels = pipeline.image_processor.preprocess(picture(*SIZE))
        original = pipeline.vae.encode(pixels).latents
    same_cells = torch.isclose(decoded[0], original, atol=1e-5).all(1)[0]
    expected = torch.ones(12, 16, dtype=torch.bool)
    expected[4:7, 4:10] = False
    assert torch.equal(same_cells, expected)
