"""How often the compiler is asked: once for each kind of block, whatever is drawn after that."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._inductor.runtime.cache_dir_utils
from diffusers import Flux2Transformer2DModel, OvisImageTransformer2DModel, ZImageControlNetPipeline

from safelight.engine import compiling
from safelight.engine.compiling import compile_blocks, is_compiled, prepare_compiler, repeated
from safelight.engine.lora import linear_modules
from safelight.engine.weights import Loader
from safelight.loras.references import LoraFile
from safelight.models.z_image_controlnet import ZImageControlNet
from tests.lora_files import ab, pairs, save
from tests.tiny_weights import TEXT_DIM, save_tiny_klein, save_tiny_ovis
from tests.z_image import draw_stock, picture, run_with, stock

MODEL = ZImageControlNet()
SIZES = [(64, 64), (256, 256), (256, 384)]  # sequences of 32, 64 and 96 tokens
PROMPTS = ["a red ball", "a red ball " * 8, "a red ball " * 30]


@pytest.fixture(autouse=True)
def graphs():
    """What the compiler was asked for since the test began: a function that counts."""
    torch._dynamo.reset()
    compiling._compiled.cache_clear()
    torch._dynamo.utils.counters.clear()
    yield lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch._dynamo.reset()


@pytest.fixture
def own(weights):
    """The model with networks of its own, which a test may compile."""
    loader = Loader(MODEL.weights.nano, "cpu", {}, weights)
    return loader, MODEL.load(loader)


def draw(own, size=SIZES[0], prompt=PROMPTS[0], loras=()):
    loader, pipeline = own
    body = {"prompt": prompt, "image_url": "file:x", "loras": [], "image_size": "auto"}
    body |= {"num_inference_steps": 1, "control_end": 1, "control_scale": 0.9}
    request = MODEL.Input.accepted(MODEL.Input.parse(body).settled())
    run = run_with(loader, {"image_url": picture(*size)}, loras=loras)
    return np.asarray(MODEL.generate(pipeline, request, run)[0]).astype(int)


def lora(folder, pipeline, rank, scale, only=""):
    targets = {name: size for name, size in linear_modules(pipeline.transformer).items() if only in name}
    path = save(folder / f"{rank}{scale}{only}.safetensors", ab(pairs(targets, rank), "transformer."))
    return LoraFile("a/lora", "lora", scale, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def test_no_size_prompt_or_lora_compiles_anything_after_the_first(own, tmp_path, graphs, caplog):
    _, pipeline = own
    first, second = lora(tmp_path, pipeline, 4, 1.0), lora(tmp_path, pipeline, 8, 0.5, "layers.1.attention")
    pictures = [[], [first], [second], [first, second]]
    expected = [draw(own, loras=loras) for loras in pictures]
    assert graphs() == 0
    compile_blocks(pipeline.transformer, "eager")
    compile_blocks(pipeline.controlnet, "eager")
    found = [draw(own), draw(own, loras=pictures[1])]
    warm = graphs()
    assert (
        warm == 4
    )  # the transformer's block, with LoRAs and without, and the ControlNet's first and other ones
    assert not [record for record in caplog.records if record.name == compiling.__name__]
    for size in SIZES:
        draw(own, size)
    for prompt in PROMPTS:
        draw(own, prompt=prompt)
    found += [draw(own, loras=loras) for loras in pictures[2:]]
    draw(own, SIZES[1], PROMPTS[1], loras=[first])
    assert graphs() == warm
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= 1


def test_diffusers_blocks_are_compiled_again(own, weights, graphs):
    _, pipeline = own
    theirs = stock(ZImageControlNetPipeline, pipeline, weights)
    theirs.transformer.compile_repeated_blocks(backend="eager", fullgraph=True)
    for block in (*theirs.controlnet.control_layers, *theirs.controlnet.control_noise_refiner):
        block.compile(backend="eager", fullgraph=True)
    counts = []
    for size in SIZES:
        draw_stock(theirs, size, 1, control_image=picture(*size))
        counts.append(graphs())
    assert counts[1] > counts[0]


def ovis_step(pixels, words):
    return {"img_ids": torch.zeros(pixels, 3), "txt_ids": torch.zeros(words, 3), "joint": TEXT_DIM}


def klein_step(pixels, words):
    return {"img_ids": torch.zeros(1, pixels, 4), "txt_ids": torch.zeros(1, words, 4), "joint": 3 * TEXT_DIM}


@pytest.mark.parametrize(
    ("folder", "kind", "step"),
    [("ovis", OvisImageTransformer2DModel, ovis_step), ("klein", Flux2Transformer2DModel, klein_step)],
    ids=["ovis", "klein"],
)
@torch.inference_mode()
def test_the_other_models_compile_once_for_all_sizes(folder, kind, step, weights, graphs):
    save_tiny_ovis(weights)
    save_tiny_klein(weights)
    transformer = kind.from_pretrained(weights / folder / "transformer").eval()

    def draw(pixels, words):
        given = step(pixels, words)
        joint = given.pop("joint")
        torch.manual_seed(0)
        return transformer(
            hidden_states=torch.randn(1, pixels, 64),
            encoder_hidden_states=torch.randn(1, words, joint),
            timestep=torch.tensor([0.5]),
            **given,
        )[0]

    sizes = [(64, 32), (96, 32), (96, 48), (64, 64)]
    expected = [draw(*size) for size in sizes]
    compile_blocks(transformer, "eager")
    counts = []
    for size, plain in zip(sizes, expected, strict=True):
        assert torch.equal(draw(*size), plain)
        counts.append(graphs())
    assert counts == [2] * len(sizes)


def test_what_the_compiler_cannot_do_is_computed_as_before(own, monkeypatch):
    expected = draw(own)

    def broken(graph, inputs):
        raise RuntimeError("there is no compiler here")

    compile_blocks(own[1].transformer, broken)
    assert is_compiled(own[1].transformer)
    assert (draw(own) == expected).all()


def test_what_runs_once_in_a_job_is_not_compiled(own):
    names = {name.split(".")[0] for name, _ in repeated(own[1].transformer)}
    assert names == {"layers", "noise_refiner"}


def test_what_is_compiled_lies_in_the_folder_by_the_compilers_version(tmp_path, monkeypatch):
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "elsewhere")
    prepare_compiler(tmp_path)
    own = Path(torch._inductor.runtime.cache_dir_utils.cache_dir())
    assert own.parent == tmp_path
    assert torch.__version__ in own.name
    assert Path(os.environ["TRITON_CACHE_DIR"]).is_relative_to(own)
