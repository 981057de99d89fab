import pytest
import torch
from diffusers import OvisImagePipeline
from PIL import Image

from safelight.engine.ovis import MAX_TOKENS
from safelight.engine.weights import Loader
from safelight.errors import InvalidInput
from safelight.inputs import PIXELS
from safelight.models.base import Run
from safelight.models.ovis_image import OvisImage
from safelight.models.z_image_controlnet import ZImageControlNet
from tests.tiny_weights import save_tiny_ovis

MODEL = OvisImage()


@pytest.fixture(scope="module")
def weights(weights):
    save_tiny_ovis(weights)
    return weights


@pytest.fixture(scope="module")
def stock(pipeline):
    """diffusers' own pipeline on the same weights, counting the same tokens."""
    made = OvisImagePipeline(**pipeline.components)
    made.user_prompt_begin_id = pipeline.user_prompt_begin_id
    made.set_progress_bar_config(disable=True)
    return made


def body(**values):
    values = {"prompt": "a red ball", "image_size": "square", "num_inference_steps": 2, "seed": 0} | values
    return MODEL.Input.parse(values).settled()


def draw(pipeline, loader, notes=None, on_step=lambda step, steps: None, **values) -> Image.Image:
    request = MODEL.Input.accepted(body(**values))
    run = Run(
        context=loader,
        seed=request.seed,
        images={},
        on_step=on_step,
        note=(notes if notes is not None else []).append,
    )
    (output,) = MODEL.generate(pipeline, request, run)
    return output


def draw_stock(pipeline, prompt="a red ball", size=(512, 512), seed=0, **arguments):
    width, height = size
    return pipeline(
        prompt,
        width=width,
        height=height,
        num_inference_steps=2,
        generator=torch.Generator("cpu").manual_seed(seed),
        **arguments,
    ).images[0]


def same(one, other):
    return one.size == other.size and one.tobytes() == other.tobytes()


def test_it_equals_the_untouched_pipeline(pipeline, loader, stock):
    ours = draw(pipeline, loader, negative_prompt="blue", guidance_scale=4.5, seed=3)
    assert same(ours, draw_stock(stock, negative_prompt="blue", guidance_scale=4.5, seed=3))


def test_without_guidance_it_equals_the_untouched_pipeline(pipeline, loader, stock):
    assert same(draw(pipeline, loader, guidance_scale=1), draw_stock(stock, guidance_scale=1.0))


@pytest.mark.parametrize("name", ["landscape_4_3", "portrait_16_9"])
def test_other_sizes_equal_the_untouched_pipeline(pipeline, loader, stock, name):
    ours = draw(pipeline, loader, image_size=name)
    assert same(ours, draw_stock(stock, size=PIXELS[name], guidance_scale=5.0))


def test_the_prompt_shows(pipeline, loader):
    assert not same(draw(pipeline, loader), draw(pipeline, loader, prompt="a blue tent"))


def test_the_negative_prompt_shows(pipeline, loader):
    without = draw(pipeline, loader)
    assert not same(without, draw(pipeline, loader, negative_prompt="a blue tent"))


def test_guidance_shows(pipeline, loader):
    images = {draw(pipeline, loader, guidance_scale=scale).tobytes() for scale in (1, 1.5, 5, 20)}
    assert len(images) == 4


def test_guidance_1_ignores_the_negative_prompt_and_says_so(pipeline, loader):
    notes, none = [], []
    ignored = draw(pipeline, loader, notes, guidance_scale=1, negative_prompt="a blue tent")
    assert same(ignored, draw(pipeline, loader, none, guidance_scale=1))
    assert notes == ["The negative prompt had no effect: guidance_scale is 1."]
    assert none == []


def test_the_seed_shows_and_repeats(pipeline, loader):
    assert same(draw(pipeline, loader, seed=7), draw(pipeline, loader, seed=7))
    assert not same(draw(pipeline, loader, seed=7), draw(pipeline, loader, seed=8))


@pytest.mark.parametrize("name", PIXELS)
def test_the_output_has_the_named_size(pipeline, loader, name):
    assert draw(pipeline, loader, image_size=name, num_inference_steps=1).size == PIXELS[name]


def test_a_size_that_the_pipeline_cannot_work_at_is_cropped_from_a_larger_one(
    pipeline, loader, stock, monkeypatch
):
    monkeypatch.setitem(PIXELS, "square", (336, 208))  # every named size is a multiple of 32
    ours = draw(pipeline, loader)
    larger = draw_stock(stock, size=(352, 224), guidance_scale=5.0)
    assert same(ours, larger.crop((0, 0, 336, 208)))


def test_each_of_up_to_50_steps_is_reported(pipeline, loader):
    seen = []
    draw(pipeline, loader, on_step=lambda *step: seen.append(step), num_inference_steps=50, guidance_scale=1)
    assert seen == [(step, 50) for step in range(1, 51)]
    with pytest.raises(InvalidInput):
        body(num_inference_steps=51)


def test_previews_come_closer_and_change_nothing(pipeline, loader):
    seen = []
    request = MODEL.Input.accepted(body())
    run = Run(loader, 0, {}, lambda step, steps: None, lambda note: None, show=seen.append)
    (drawn,) = MODEL.generate(pipeline, request, run)
    assert same(drawn, draw(pipeline, loader))
    assert [preview.size for preview in seen] == [(32, 32), (32, 32)]
    assert seen[0].tobytes() != seen[1].tobytes()


def test_the_instruction_is_dropped_and_the_prompt_is_not(pipeline):
    text = pipeline._get_messages("a red ball")[0]
    tokens = pipeline.tokenizer(text, add_special_tokens=False).input_ids
    kept = pipeline.tokenizer.decode(tokens[pipeline.user_prompt_begin_id :])
    assert kept.startswith(": a red ball")


def test_qwens_own_tokenizer_is_counted_as_diffusers_does(stock, pipeline, monkeypatch):
    from safelight.engine.ovis import fit_to_tokenizer

    untouched = OvisImagePipeline(**pipeline.components)
    monkeypatch.setattr(type(pipeline.tokenizer), "vocab_size", 151_643)
    fit_to_tokenizer(untouched)
    assert untouched.user_prompt_begin_id == 28


def test_a_prompt_that_is_cut_is_noted(pipeline, loader):
    fits = "x" * (MAX_TOKENS - len(": "))  # a letter is a token here
    for field, name in (("prompt", "prompt"), ("negative_prompt", "negative prompt")):
        whole, cut = [], []
        a = draw(pipeline, loader, whole, num_inference_steps=1, **{field: fits})
        b = draw(pipeline, loader, cut, num_inference_steps=1, **{field: fits + "x"})
        c = draw(pipeline, loader, num_inference_steps=1, **{field: fits + "xyz"})
        assert whole == []
        assert cut == [f"The {name} was cut after 256 tokens."]
        assert same(b, c)
        assert same(a, b)


def test_a_stopped_run_leaves_the_pipeline_as_it_was(pipeline, loader):
    class Stopped(BaseException):
        pass

    def stop(step, steps):
        raise Stopped

    before = draw(pipeline, loader)
    with pytest.raises(Stopped):
        draw(pipeline, loader, on_step=stop)
    assert same(draw(pipeline, loader), before)


def test_what_it_shares_with_z_image_is_loaded_once(pipeline, weights, shelf):
    other = ZImageControlNet().load(Loader(ZImageControlNet.weights.nano, "cpu", shelf, weights))
    assert other.text_encoder is pipeline.text_encoder
    assert other.vae is pipeline.vae
    assert other.tokenizer is pipeline.tokenizer
