import numpy as np
import pytest
import torch
from diffusers import ZImageControlNetPipeline, ZImagePipeline
from PIL import Image

from safelight.engine.control import Window
from safelight.engine.parent import Child
from safelight.engine.pixels import Pixels, Size, output_path, read_pixels
from safelight.engine.preprocess import canny
from safelight.engine.protocol import Generate, Setup
from safelight.engine.runner import RunStopped
from safelight.engine.z_image_controlnet import HintingBlock
from safelight.inputs import PIXELS
from safelight.jobs import Progress
from safelight.models.z_image_controlnet import ZImageControlNet
from tests.z_image import PROMPT, draw_stock, picture, run_with, same
from tests.z_image import stock as stock_of

MODEL = ZImageControlNet()


@pytest.fixture(scope="module")
def stock(weights, loader):
    """diffusers' own pipelines on the same weights: with and without the ControlNet."""
    return tuple(
        stock_of(kind, MODEL.load(loader), weights) for kind in (ZImagePipeline, ZImageControlNetPipeline)
    )


def body(**values):
    body = {"prompt": PROMPT, "image_url": "file:x", "loras": [], "image_size": "square"}
    body |= {"num_inference_steps": 2, "control_start": 0, "control_end": 1} | values
    return MODEL.Input.parse(body).settled()


def draw(pipeline, loader, image=None, on_step=lambda step, steps: None, notes=None, **values):
    request = MODEL.Input.accepted(body(**values))
    run = run_with(loader, {"image_url": image or picture()}, seed=request.seed, on_step=on_step, notes=notes)
    (output,) = MODEL.generate(pipeline, request, run)
    return output


def test_a_whole_window_equals_the_untouched_pipeline(pipeline, loader, stock):
    ours = draw(pipeline, loader, control_scale=0.9)
    assert same(ours, draw_stock(stock[1], control_image=picture(), controlnet_conditioning_scale=0.9))


def test_scale_0_equals_the_pipeline_without_a_controlnet(pipeline, loader, stock):
    ours = draw(pipeline, loader, control_scale=0)
    assert same(ours, draw_stock(stock[0]))
    assert same(ours, draw_stock(stock[1], control_image=picture(), controlnet_conditioning_scale=0.0))


def test_scale_0_does_not_run_the_controlnet(pipeline, loader, monkeypatch):
    def run(*arguments, **options):
        raise AssertionError("it ran")

    monkeypatch.setattr(HintingBlock, "forward", run)
    draw(pipeline, loader, control_scale=0)
    with pytest.raises(AssertionError, match="it ran"):
        draw(pipeline, loader, control_scale=0.1)


def test_an_empty_window_equals_the_pipeline_without_a_controlnet(pipeline, loader, stock):
    assert same(draw(pipeline, loader, control_end=0), draw_stock(stock[0]))


def test_control_shows(pipeline, loader):
    controlled = draw(pipeline, loader, control_scale=0.9)
    assert not same(controlled, draw(pipeline, loader, control_scale=0))
    assert not same(controlled, draw(pipeline, loader, control_scale=0.3))
    assert not same(controlled, draw(pipeline, loader, Image.new("RGB", (512, 512)), control_scale=0.9))


def test_a_part_of_the_window_lies_between(pipeline, loader):
    parts = [draw(pipeline, loader, num_inference_steps=4, control_end=end) for end in (0, 0.5, 1)]
    assert len({part.tobytes() for part in parts}) == 3


@pytest.mark.parametrize(
    ("start", "end", "steps", "controlled"),
    [
        (0, 1, 4, [0, 1, 2, 3]),
        (0, 0.4, 8, [0, 1, 2]),
        (0, 0.4, 2, [0]),
        (0, 0.4, 1, [0]),
        (0, 0.01, 8, [0]),
        (0, 0, 8, []),
        (0.5, 1, 4, [2, 3]),
        (0.5, 0.5, 4, []),
        (0.3, 0.6, 10, [3, 4, 5]),
        (1, 1, 4, []),
    ],
)
def test_the_window_holds_whole_steps_and_the_first(start, end, steps, controlled):
    window = Window(start, end, steps)
    assert [step for step in range(steps) if window.controls(step)] == controlled


def test_the_same_job_gives_the_same_bytes(pipeline, loader):
    assert same(draw(pipeline, loader, seed=3), draw(pipeline, loader, seed=3))
    assert not same(draw(pipeline, loader, seed=3), draw(pipeline, loader, seed=4))


OWN_MODEL = """
from safelight.models.base import Part, Weights
from safelight.models.z_image_controlnet import ZImageControlNet

class Tiny(ZImageControlNet):
    id = "test/tiny"
    weights = Weights(real={{}}, nano={{
        name: Part({root!r} + "/" + part.repo, part.folder)
        for name, part in ZImageControlNet.weights.nano.items()
    }})
"""


async def test_the_child_gives_the_same_bytes(pipeline, loader, weights, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.py").write_text(OWN_MODEL.format(root=str(weights)))
    control = picture()
    (tmp_path / "control.rgb").write_bytes(control.tobytes())
    request = Generate(
        "job",
        "test/tiny",
        body(seed=3),
        {"image_url": [Pixels(str(tmp_path / "control.rgb"), Size(*control.size))]},
        str(tmp_path),
    )
    child = Child(Setup("cpu", str(tmp_path / "models")))
    seen = []
    try:
        await child.start()
        done, _ = await child.generate(request, seen.append)
    finally:
        await child.kill()
    assert read_pixels(output_path(tmp_path, 0), done.sizes[0]) == draw(pipeline, loader, seed=3).tobytes()
    assert seen == [Progress(1, 2), Progress(2, 2)]


@pytest.mark.parametrize("name", PIXELS)
def test_the_output_has_the_named_size(pipeline, loader, name):
    image = draw(pipeline, loader, image_size=name, num_inference_steps=1)
    assert image.size == PIXELS[name]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((512, 512), (512, 512)),
        ((500, 300), (496, 288)),
        ((336, 208), (336, 208)),
        ((3, 5), (16, 16)),
        ((2000, 2000), (1024, 1024)),
        ((4000, 1000), (2048, 512)),
        ((1920, 1080), (1360, 768)),
        ((5000, 20), (5000 // 16 * 16, 16)),
    ],
)
def test_auto_is_the_inputs_own_size(pipeline, loader, given, expected):
    image = draw(pipeline, loader, picture(*given), image_size="auto", num_inference_steps=1)
    assert image.size == expected


def test_a_size_that_the_pipeline_cannot_work_at_is_cropped_from_a_larger_one(pipeline, loader, stock):
    ours = draw(pipeline, loader, picture(336, 208), image_size="auto", control_scale=0.9)
    pixels = np.pad(np.asarray(picture(336, 208)), ((0, 16), (0, 16), (0, 0)), mode="edge")
    larger = draw_stock(
        stock[1],
        size=(352, 224),
        control_image=Image.fromarray(pixels),
        controlnet_conditioning_scale=0.9,
    )
    assert same(ours, larger.crop((0, 0, 336, 208)))


def test_an_input_too_long_for_the_pipeline_is_shrunk(pipeline, loader):
    image = draw(pipeline, loader, picture(16384, 50), image_size="auto", num_inference_steps=1)
    assert image.size == (16384, 48)


def test_canny_shows_white_edges_on_black():
    edges = np.asarray(canny(picture()))
    assert edges.shape == (512, 512, 3)
    assert set(np.unique(edges)) == {0, 255}
    assert edges[0, 0].tolist() == edges[256, 256].tolist() == [0, 0, 0]
    assert edges[256, 98:108].max() == 255


def test_canny_reaches_the_controlnet(pipeline, loader):
    assert same(
        draw(pipeline, loader, preprocess="canny"),
        draw(pipeline, loader, canny(picture()), preprocess="none"),
    )
    assert not same(draw(pipeline, loader, preprocess="canny"), draw(pipeline, loader))


def test_each_step_is_reported(pipeline, loader):
    seen = []
    draw(pipeline, loader, num_inference_steps=3, on_step=lambda step, steps: seen.append((step, steps)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_stopped_run_leaves_the_pipeline_as_it_was(pipeline, loader):
    before = draw(pipeline, loader, control_end=0.5)

    def stop(step, steps):
        raise RunStopped

    with pytest.raises(RunStopped):
        draw(pipeline, loader, num_inference_steps=4, on_step=stop)
    assert same(draw(pipeline, loader, control_end=0.5), before)


def test_a_prompt_that_is_cut_is_noted(pipeline, loader):
    short, long = [], []
    draw(pipeline, loader, num_inference_steps=1, notes=short)
    draw(pipeline, loader, num_inference_steps=1, prompt="a red ball " * 200, notes=long)
    assert short == []
    assert long == ["The prompt was cut after 512 tokens."]


def test_components_are_loaded_once(loader, pipeline):
    again = MODEL.load(loader)
    assert again.text_encoder is pipeline.text_encoder
    assert again.transformer is pipeline.transformer


def test_weights_are_single_precision_on_a_cpu(pipeline):
    assert {p.dtype for p in pipeline.transformer.parameters()} == {torch.float32}
    assert not pipeline.transformer.training
