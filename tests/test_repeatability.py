"""The same job gives the same bytes: twice, in a child that is restarted, and whatever was loaded before."""

import hashlib

import pytest
from PIL import Image, ImageDraw

from safelight.engine.parent import Child
from safelight.engine.pixels import Pixels, Size, output_path, read_pixels
from safelight.engine.protocol import Generate, Setup
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.models.z_image_inpainting import ZImageInpainting
from tests.tiny_weights import save_tiny_klein, save_tiny_ovis, save_tiny_weights

MODELS = (ZImageControlNet, ZImageInpainting, OvisImage, WanImageToImage)

OWN_MODEL = """
from safelight.models.base import Part, Weights
from {module} import {name}

class Tiny{name}({name}):
    id = "tiny/{name}"
    weights = Weights(real={{}}, nano={{
        name: Part({root!r} + "/" + part.repo, part.folder)
        for name, part in {name}.weights.nano.items()
    }})
"""

BODIES = {
    "ZImageControlNet": {"image_size": "square", "num_inference_steps": 2},
    "ZImageInpainting": {"image_size": "square", "num_inference_steps": 2},
    "OvisImage": {"image_size": "square", "num_inference_steps": 2, "negative_prompt": "blue"},
    "WanImageToImage": {"image_size": "1344*576 (21:9)", "prompt_extend": True},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of all models on tiny weights."""
    root = save_tiny_weights(tmp_path_factory.mktemp("weights"))
    save_tiny_ovis(root)
    save_tiny_klein(root)
    folder = tmp_path_factory.mktemp("models")
    for model in MODELS:
        source = OWN_MODEL.format(module=model.__module__, name=model.__name__, root=str(root))
        (folder / f"{model.__name__}.py").write_text(source)
    return folder


@pytest.fixture
async def child(models):
    """A child that is killed after each block of jobs, and so starts anew."""
    started = Child(Setup("cpu", str(models), memory_bytes=2**30))
    yield started
    await started.kill()


def input_of(model, folder):
    image = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(image).ellipse((100, 100, 400, 400), fill="red")
    (folder / "image.rgb").write_bytes(image.tobytes())
    mask = Image.new("RGB", (512, 512), "black")
    ImageDraw.Draw(mask).rectangle((200, 200, 400, 400), fill="white")
    (folder / "mask.rgb").write_bytes(mask.tobytes())
    files = {
        "image_url": ["image.rgb"],
        "mask_image_url": ["mask.rgb"],
        "image_urls": ["image.rgb", "mask.rgb"],
    }
    images, body = {}, {"prompt": "a red ball", "seed": 11} | BODIES[model.__name__]
    for name in model.Input.model_fields.keys() & files:
        images[name] = [Pixels(str(folder / file), Size(512, 512)) for file in files[name]]
        body[name] = "file:x" if name != "image_urls" else ["file:x"] * 2
    if "loras" in model.Input.model_fields:
        body["loras"] = []
    return model.Input.parse(body).settled(), images


async def run(child, model, folder):
    """The digest of one job's pixels."""
    settled, images = input_of(model, folder)
    await child.start()
    request = Generate("job", f"tiny/{model.__name__}", settled, images, str(folder))
    done, _ = await child.generate(request, lambda progress: None)
    return hashlib.sha256(read_pixels(output_path(folder, 0), done.sizes[0])).hexdigest()


async def test_every_model_repeats_itself_also_in_another_order_and_after_a_restart(child, tmp_path):
    first = {model: await run(child, model, tmp_path) for model in MODELS}
    assert len(set(first.values())) == len(MODELS)
    again = {model: await run(child, model, tmp_path) for model in reversed(MODELS)}
    assert again == first
    await child.kill()
    restarted = {model: await run(child, model, tmp_path) for model in reversed(MODELS)}
    assert restarted == first


async def test_a_model_that_had_to_leave_draws_the_same_when_it_is_back(models, tmp_path):
    tight = Child(Setup("cpu", str(models), memory_bytes=1))  # room for one at a time
    try:
        before = await run(tight, OvisImage, tmp_path)
        assert tight.resident == {"tiny/OvisImage"}
        await run(tight, WanImageToImage, tmp_path)
        assert tight.resident == {"tiny/WanImageToImage"}
        assert await run(tight, OvisImage, tmp_path) == before
    finally:
        await tight.kill()
