"""A prompt is read once, and no deeper than somebody listens."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from safelight.engine import klein, prompts
from safelight.engine.weights import Loader
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.models.z_image_inpainting import ZImageInpainting
from tests.tiny_weights import save_tiny_klein, save_tiny_ovis
from tests.z_image import picture, run_with

MODELS = (ZImageControlNet(), ZImageInpainting(), OvisImage(), WanImageToImage())
PICTURES = {"image_url": picture(64, 64), "mask_image_url": picture(64, 64), "image_urls": picture(384, 384)}


@pytest.fixture(autouse=True)
def one_step(monkeypatch):
    """A picture that nobody looks at need not be finished."""
    monkeypatch.setattr(klein, "NANO", replace(klein.NANO, num_inference_steps=1, pixels=64 * 64))


@pytest.fixture(scope="module")
def shelf(weights):
    """All models on tiny weights, loaded into one shelf."""
    save_tiny_ovis(weights)
    save_tiny_klein(weights)
    return weights, {}


def loaded(model, shelf):
    root, parts = shelf
    loader = Loader(model.weights.nano, "cpu", parts, root)
    return loader, model.load(loader)


def draw(model, loader, pipeline, prompt):
    values = {
        "prompt": prompt,
        "num_inference_steps": 1,
        "loras": [],
        "control_end": 1,
        "prompt_extend": False,
    }
    values |= {
        "image_size": "auto",
        "image_url": "file:x",
        "mask_image_url": "file:x",
        "image_urls": ["file:x"],
    }
    if not isinstance(model, ZImageControlNet | ZImageInpainting):
        values["image_size"] = "square" if isinstance(model, OvisImage) else "1344*576 (21:9)"
    known = {name: value for name, value in values.items() if name in model.Input.model_fields}
    request = model.Input.accepted(model.Input.parse(known).settled())
    return np.asarray(model.generate(pipeline, request, run_with(loader, PICTURES))[0])


def encoder_of(pipeline):
    return getattr(pipeline.text_encoder, "model", pipeline.text_encoder)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_prompt_that_was_read_is_not_read_again(model, shelf):
    loader, pipeline = loaded(model, shelf)
    calls = []
    watching = encoder_of(pipeline).layers[0].register_forward_hook(lambda *_: calls.append(1))
    first = draw(model, loader, pipeline, f"a ball for {model.id}")
    read = len(calls)
    again = draw(model, loader, pipeline, f"a ball for {model.id}")
    assert read > 0
    assert len(calls) == read
    assert (again == first).all()
    draw(model, loader, pipeline, f"another ball for {model.id}")
    watching.remove()
    assert len(calls) > read


def test_the_oldest_prompts_leave_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(prompts, "MAX_BYTES", 100)
    encoder, read = torch.nn.Linear(1, 1), []

    def embeddings(prompt):
        return prompts.embeddings(encoder, prompt, lambda: read.append(prompt) or torch.zeros(10))

    for prompt in ("a", "b", "a", "c", "a", "b"):
        embeddings(prompt)
    assert read == ["a", "b", "c", "b"]


@torch.inference_mode()
def test_klein_reads_no_deeper_than_it_listens_and_asks_for_no_next_word(shelf):
    _, pipeline = loaded(WanImageToImage(), shelf)
    encoder = encoder_of(pipeline)
    whole = pipeline.encode_prompt("a red ball", max_sequence_length=256, text_encoder_out_layers=(0, 1, 1))[
        0
    ]
    calls = []
    watched = [*encoder.layers, pipeline.text_encoder.lm_head]
    hooks = [
        part.register_forward_hook(lambda *_, number=number: calls.append(number))
        for number, part in enumerate(watched)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(klein, "text_layers", lambda pipeline: (0, 1, 1))
        found = klein.embedded(pipeline, "a red ball")
    for hook in hooks:
        hook.remove()
    assert torch.equal(found, whole)
    assert calls == [0, 1]
    assert encoder.config.num_hidden_layers == len(encoder.layers)
