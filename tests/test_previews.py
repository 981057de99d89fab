import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image

from safelight.engine.previews import MAX_SIDE, colours_of, preview
from safelight.engine.protocol import BrokenProtocol, Thumbnail
from safelight.engine.weights import Loader
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.models.z_image_inpainting import ZImageInpainting
from tests.z_image import PROMPT, picture, run_with, same

MODEL, INPAINTING = ZImageControlNet(), ZImageInpainting()
SIZE = (128, 64)


class Averages(torch.nn.Module):
    """An autoencoder whose latents are colours: a linear map goes all the way back."""

    device, dtype = torch.device("cpu"), torch.float32
    config = type("Config", (), {"shift_factor": 0.5, "scaling_factor": 2.0})

    def encode(self, pixels):
        latents = torch.nn.functional.avg_pool2d(pixels, 16)
        return type("Encoded", (), {"latents": torch.cat((latents.flip(1), latents), 1)})


def test_least_squares_finds_the_way_back_to_colours():
    vae = Averages()
    given = torch.rand((1, 3, 4, 6)) * 2 - 1
    latents = (torch.cat((given.flip(1), given), 1) - 0.5) * 2
    shown = np.asarray(preview(latents, colours_of(vae, 16)), float)
    expected = (given[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(shown - expected).max() <= 1
    assert colours_of(vae, 16) is colours_of(vae, 16)


def draw(model, pipeline, loader, images, show, steps=3, **values):
    body = {"prompt": PROMPT, "num_inference_steps": steps, **dict.fromkeys(images, "file:x"), **values}
    request = model.Input.accepted(model.Input.parse(body).settled())
    (output,) = model.generate(pipeline, request, run_with(loader, images, show=show))
    return output


def test_every_step_is_shown_small_and_changes_nothing(pipeline, loader):
    shown = []
    images = {"image_url": picture(*SIZE)}
    output = draw(MODEL, pipeline, loader, images, shown.append, loras=[])
    assert same(output, draw(MODEL, pipeline, loader, images, None, loras=[]))
    assert [image.size for image in shown] == [(8, 4)] * 3
    assert len({image.tobytes() for image in shown}) == 3


def test_a_preview_of_inpainting_keeps_what_is_kept(loader):
    pipeline, shown = INPAINTING.load(loader), []
    mask = Image.new("RGB", SIZE)
    mask.paste("white", (0, 0, 64, 64))
    images = {"image_url": picture(*SIZE), "mask_image_url": mask}
    draw(INPAINTING, pipeline, loader, images, shown.append)
    first, last = np.asarray(shown[0]), np.asarray(shown[-1])
    assert (first[:, 4:] == last[:, 4:]).all()
    assert (first[:, :4] != last[:, :4]).any()


def test_a_preview_is_never_large():
    assert preview(torch.zeros(1, 6, 300, 200), torch.zeros(7, 3)).size == (85, MAX_SIDE)


def test_a_preview_travels_as_it_is():
    image = Image.effect_noise((9, 5), 50).convert("RGB")
    sent = Thumbnail.of(*image.size, image.tobytes()).preview
    assert (sent.width, sent.height, sent.rgb) == (9, 5, image.tobytes())


@pytest.mark.parametrize("rgb", ["", "AAAA", "====", "no base64", "AAAAAAA="])
def test_a_preview_that_is_none_is_refused(rgb):
    with pytest.raises(BrokenProtocol):
        _ = Thumbnail(1, 2, rgb).preview


def test_a_preview_looks_like_its_image():
    loader = Loader(MODEL.weights.nano, "cpu", {})
    vae = loader.part("vae", AutoencoderTiny)
    image = picture(256, 256)
    pixels = torch.from_numpy(np.asarray(image, np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.inference_mode():
        latents = (vae.encode(pixels).latents - vae.config.shift_factor) * vae.config.scaling_factor
    shown = np.asarray(preview(latents, colours_of(vae, 16)), float)
    expected = np.asarray(image.resize(shown.shape[1::-1], Image.Resampling.BOX), float)
    assert np.abs(shown - expected).mean() < 12
