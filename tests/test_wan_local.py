from dataclasses import replace

import pytest
import torch
from diffusers import Flux2KleinPipeline
from PIL import Image, ImageDraw

from safelight.engine import expansion, klein
from safelight.engine.canvas import Canvas
from safelight.engine.weights import Loader
from safelight.models.base import Run
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WAN_PIXELS, WanImageToImage
from tests.tiny_weights import save_tiny_klein, save_tiny_ovis

MODEL = WanImageToImage()
STAND_IN = "Drawn by a local stand-in for Wan 2.6 (FLUX.2 klein), not by Wan 2.6 itself."
SMALL = klein.Recipe(num_inference_steps=2, guidance_scale=4, max_tokens=64)
SMALL_DISTILLED = replace(SMALL, guidance_scale=1)
SIZE = "1344*576 (21:9)"


@pytest.fixture(scope="module")
def weights(weights):
    save_tiny_ovis(weights)
    save_tiny_klein(weights)
    return weights


@pytest.fixture
def distilled(loader):
    made = MODEL.load(loader)
    made.register_to_config(is_distilled=True)
    return made


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Two steps of small pictures from small references: what is true of them is true of more."""
    monkeypatch.setattr(klein, "REFERENCE_PIXELS", 128 * 128)
    monkeypatch.setattr(klein, "NANO", SMALL)
    monkeypatch.setattr(klein, "DISTILLED", SMALL_DISTILLED)
    monkeypatch.setitem(WAN_PIXELS, SIZE, (192, 128))


def stock(pipeline):
    """diffusers' own pipeline on the same parts."""
    made = Flux2KleinPipeline(**pipeline.components, is_distilled=pipeline.config.is_distilled)
    made.set_progress_bar_config(disable=True)
    return made


def picture(colour="red", width=128, height=128):
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).ellipse((width // 5, height // 5, width * 4 // 5, height * 4 // 5), fill=colour)
    return image


RED, BLUE = picture("red"), picture("blue")


def draw(pipeline, loader, images=(RED,), notes=None, on_step=lambda step, steps: None, run=None, **values):
    body = {"prompt": "a ball", "image_urls": ["file:x"] * len(images), "image_size": SIZE}
    body |= {"prompt_extend": False} | values
    request = MODEL.Input.accepted(MODEL.Input.parse(body).settled())
    run = run or Run(
        context=loader,
        seed=request.seed,
        images={"image_urls": list(images)},
        on_step=on_step,
        note=(notes if notes is not None else []).append,
    )
    (output,) = MODEL.generate(pipeline, request, run)
    return output


def draw_stock(pipeline, images=(RED,), prompt="a ball", size=(192, 128), **arguments):
    return stock(pipeline)(
        prompt=prompt,
        image=list(images),
        width=size[0],
        height=size[1],
        num_inference_steps=2,
        max_sequence_length=64,
        generator=torch.Generator("cpu").manual_seed(0),
        text_encoder_out_layers=(0, 1, 2),
        **arguments,
    ).images[0]


def same(one, other):
    return one.size == other.size and one.tobytes() == other.tobytes()


def test_it_equals_the_untouched_pipeline(pipeline, loader):
    ours = draw(pipeline, loader, [RED, BLUE], negative_prompt="")
    assert same(ours, draw_stock(pipeline, [RED, BLUE], guidance_scale=4.0))


def test_the_negative_prompt_equals_the_untouched_pipelines_embeddings(pipeline, loader):
    ours = draw(pipeline, loader, negative_prompt="green")
    options = {"max_sequence_length": 64, "text_encoder_out_layers": (0, 1, 2)}
    away, _ = stock(pipeline).encode_prompt("green", **options)
    theirs = draw_stock(pipeline, guidance_scale=4.0, negative_prompt_embeds=away)
    assert same(ours, theirs)
    assert not same(ours, draw(pipeline, loader, negative_prompt=""))


def test_distilled_weights_equal_the_untouched_pipeline(distilled, loader):
    assert same(draw(distilled, loader), draw_stock(distilled, guidance_scale=1.0))


def test_distilled_weights_take_no_negative_prompt_and_say_so(distilled, loader):
    usual, none, other = [], [], []
    images = [
        draw(distilled, loader, notes=usual),
        draw(distilled, loader, notes=none, negative_prompt=""),
        draw(distilled, loader, notes=other, negative_prompt="green"),
    ]
    assert len({image.tobytes() for image in images}) == 1
    assert usual == none == [STAND_IN]
    ignored = "The negative prompt had no effect: the stand-in is distilled and takes none."
    assert other == [STAND_IN, ignored]


def test_the_result_says_that_a_stand_in_drew(pipeline, loader):
    notes = []
    draw(pipeline, loader, notes=notes)
    assert notes == [STAND_IN]


def test_references_and_their_order_show(pipeline, loader):
    several = [[RED], [BLUE], [RED, BLUE], [BLUE, RED], [RED, BLUE, RED]]
    assert len({draw(pipeline, loader, images).tobytes() for images in several}) == 5


def test_the_prompt_shows(pipeline, loader):
    assert not same(draw(pipeline, loader), draw(pipeline, loader, prompt="a tent"))


def test_the_seed_shows_and_repeats(pipeline, loader):
    assert same(draw(pipeline, loader, seed=7), draw(pipeline, loader, seed=7))
    assert not same(draw(pipeline, loader, seed=7), draw(pipeline, loader, seed=8))


@pytest.mark.parametrize("name", WAN_PIXELS)
def test_the_output_has_the_asked_size(distilled, loader, name, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(klein, "DISTILLED", replace(SMALL_DISTILLED, num_inference_steps=1))
    width, height = draw(distilled, loader, image_size=name).size
    assert name.startswith(f"{width}*{height} (")


def test_a_size_that_the_pipeline_cannot_work_at_is_cropped_from_a_larger_one(distilled, loader):
    ours = draw(distilled, loader, image_size="800*1200 (2:3)")
    larger = draw_stock(distilled, size=(800, 1216), guidance_scale=1.0)
    assert same(ours, larger.crop((0, 0, 800, 1200)))


def test_magic_prompt_draws_what_it_wrote_and_tells_it(pipeline, loader, monkeypatch):
    monkeypatch.setattr(expansion, "NANO", replace(expansion.NANO, max_new_tokens=8))
    monkeypatch.setattr(expansion, "REAL", replace(expansion.REAL, max_new_tokens=8))
    run = Run(loader, 0, {"image_urls": [RED]}, lambda step, steps: None, lambda note: None)
    drawn = draw(pipeline, loader, run=run, prompt_extend=True)
    assert run.report.expanded_prompt not in (None, "a ball")
    assert same(drawn, draw(pipeline, loader, prompt=run.report.expanded_prompt))
    assert not same(drawn, draw(pipeline, loader))


def test_previews_come_closer_and_change_nothing(pipeline, loader):
    seen = []
    run = Run(loader, 0, {"image_urls": [RED]}, lambda step, steps: None, lambda note: None, show=seen.append)
    drawn = draw(pipeline, loader, run=run)
    assert same(drawn, draw(pipeline, loader))
    assert [preview.size for preview in seen] == [(12, 8), (12, 8)]
    assert seen[0].tobytes() != seen[1].tobytes()


def test_latents_are_unpacked_as_the_pipeline_does(pipeline):
    tokens = torch.randn(1, 24, 64)
    canvas = Canvas((192, 128), (192, 128))
    ids = pipeline._prepare_latent_ids(torch.zeros(1, 64, 4, 6))
    theirs = pipeline._unpatchify_latents(pipeline._unpack_latents_with_ids(tokens, ids, 4, 6))
    assert torch.equal(klein.unpack(pipeline, tokens, canvas), theirs)


def test_each_step_is_reported(pipeline, loader):
    seen = []
    draw(pipeline, loader, on_step=lambda *step: seen.append(step))
    assert seen == [(1, 2), (2, 2)]


def test_a_prompt_that_is_cut_is_noted(pipeline, loader):
    before = len("<|im_start|>user\n") - len("<|im_start|>") + 1  # a letter is a token here
    fits = "x" * (SMALL.max_tokens - before)
    whole, cut = [], []
    draw(pipeline, loader, notes=whole, prompt=fits)
    draw(pipeline, loader, notes=cut, prompt=fits + "x")
    assert whole == [STAND_IN]
    assert cut == [STAND_IN, "The prompt was cut after 64 tokens."]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ((384, 384), (384, 384)),
        ((512, 512), (512, 512)),
        ((1024, 1024), (512, 512)),
        ((5000, 5000), (512, 512)),
        ((5000, 384), (1847, 231)),
        ((384, 5000), (231, 1847)),
        ((2000, 250), (1448, 181)),
    ],
)
def test_references_fit_the_pipeline(given, taken, monkeypatch):
    monkeypatch.setattr(klein, "REFERENCE_PIXELS", 512 * 512)
    fitted = klein.reference(Image.new("RGB", given), SMALL, (192, 128))
    assert fitted.size == taken
    assert klein.MAX_RATIO * min(taken) >= max(taken)


def test_every_side_that_wan_accepts_is_drawn_from(distilled, loader):
    extreme = [picture("red", 5000, 384), picture("blue", 384, 5000), picture("green", 384, 384)]
    assert draw(distilled, loader, extreme).size == (192, 128)


def test_a_narrow_reference_keeps_its_pixels_in_the_middle(monkeypatch):
    monkeypatch.setattr(klein, "REFERENCE_PIXELS", 512 * 512)
    narrow = Image.new("RGB", (800, 60), "red")
    fitted = klein.reference(narrow, SMALL, (192, 128))
    assert fitted.size == (800, 100)
    assert fitted.getcolors() == [(80_000, (255, 0, 0))]


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ((1024, 1024), Canvas((512, 512), (512, 512))),
        ((720, 1280), Canvas((384, 683), (384, 704))),
        ((1344, 576), Canvas((782, 335), (800, 352))),
        ((192, 128), Canvas((192, 128), (192, 128))),
    ],
)
def test_a_recipe_with_few_pixels_draws_the_same_shape_smaller(asked, drawn):
    assert klein.canvas(replace(SMALL, pixels=512 * 512), asked, 32) == drawn
    assert klein.canvas(SMALL, asked, 32).asked == asked


@pytest.mark.parametrize(
    ("given", "taken"), [((1000, 500), (192, 96)), ((500, 1000), (64, 128)), ((100, 100), (100, 100))]
)
def test_references_fit_into_the_frame_of_a_small_recipe(given, taken):
    assert klein.reference(Image.new("RGB", given), replace(SMALL, pixels=1), (192, 128)).size == taken


def test_what_is_drawn_small_is_the_untouched_pipelines_picture_enlarged(pipeline, loader, monkeypatch):
    monkeypatch.setattr(klein, "NANO", replace(SMALL, pixels=96 * 64))
    ours = draw(pipeline, loader, [RED], negative_prompt="")
    fitted = RED.resize((64, 64), Image.Resampling.LANCZOS)
    theirs = draw_stock(pipeline, [fitted], size=(96, 64), guidance_scale=4.0)
    assert same(ours, theirs.resize((192, 128), Image.Resampling.LANCZOS))


def test_what_it_shares_with_ovis_is_loaded_once(pipeline, weights, shelf):
    other = OvisImage().load(Loader(OvisImage.weights.nano, "cpu", shelf, weights))
    assert pipeline.text_encoder.model is other.text_encoder
    assert pipeline.text_encoder.lm_head.weight is other.text_encoder.embed_tokens.weight
    assert pipeline.vae.encoder is other.vae.encoder
    assert pipeline.vae.decoder is other.vae.decoder
    parts = (pipeline.text_encoder, pipeline.vae, pipeline.transformer)
    assert not any(parameter.is_meta for part in parts for parameter in part.parameters())


def test_the_layers_of_the_real_text_encoder_are_those_klein_was_trained_on(pipeline, monkeypatch):
    monkeypatch.setattr(pipeline.text_encoder.config, "num_hidden_layers", 36)
    assert klein.text_layers(pipeline) == (9, 18, 27)
