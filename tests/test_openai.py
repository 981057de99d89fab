"""The OpenAI images API, as its official client speaks it, against a server with a worker."""

from __future__ import annotations

import base64
import io
import threading
import time

import openai
import pytest
from PIL import Image

from safelight.api.openai_mapping import inputs_for, model_for
from safelight.api.openai_request import Asked, ImagesInput, read_edit, read_generation
from safelight.errors import InvalidInput, ModelNotFound
from safelight.models import load_catalogue
from safelight.texts import Language
from tests.serving import MODELS, served

INPAINTING = "tongyi-mai/z-image/turbo/inpainting/lora"
WAN = "wan-ai/wan-2-6/image-to-image"
OVIS = "aidc-ai/ovis-image"


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    with served(tmp_path_factory.mktemp("openai") / "data") as server:
        yield server


@pytest.fixture
def client(at):
    with openai.OpenAI(base_url=f"{at.url}/v1", api_key=at.key, max_retries=0) as opened:
        yield opened


def png(colour: tuple[int, ...], size: tuple[int, int] = (16, 16)) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_a_prompt_becomes_the_url_of_an_image(at, client):
    answer = client.images.generate(prompt="a red house", model="test/instant")
    [image] = answer.data
    assert image.url.startswith(f"{at.url}/files/")
    assert image.b64_json is None
    with at.client() as ours:
        assert opened(ours.download(image.url)).size == (16, 16)
    assert (answer.size, answer.output_format, answer.background) == ("16x16", "png", "opaque")
    assert abs(answer.created - time.time()) < 600


def test_images_come_inside_the_answer_when_asked_for(client):
    answer = client.images.generate(prompt="x", model="test/instant", n=3, response_format="b64_json")
    pixels = [opened(base64.b64decode(image.b64_json)).getpixel((0, 0)) for image in answer.data]
    assert len(pixels) == 3
    assert all(image.url is None for image in answer.data)


def test_a_seed_of_ones_own_is_the_first_images(client):
    answer = client.images.generate(
        prompt="x", model="test/instant", n=3, response_format="b64_json", extra_body={"seed": 20}
    )
    reds = [opened(base64.b64decode(image.b64_json)).getpixel((0, 0))[0] for image in answer.data]
    assert reds == [20, 21, 22]


def test_what_models_here_cannot_use_is_accepted(client):
    client.images.generate(
        prompt="x", model="test/instant", user="me", style="vivid", moderation="low", quality="hd"
    )


def test_an_image_is_edited(client):
    answer = client.images.edit(
        image=png((10, 200, 30)), prompt="x", model="test/echo", response_format="b64_json"
    )
    assert opened(base64.b64decode(answer.data[0].b64_json)).getpixel((0, 0)) == (10, 200, 30)


def test_several_images_keep_their_order(client):
    colours = [(255, 0, 0), (0, 255, 0)]
    answer = client.images.edit(
        image=[png(colour) for colour in colours],
        prompt="x",
        model="test/album",
        response_format="b64_json",
    )
    assert [opened(base64.b64decode(image.b64_json)).getpixel((0, 0)) for image in answer.data] == colours


def half_transparent() -> bytes:
    """Left: opaque black; right: transparent white."""
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 255))
    image.paste((255, 255, 255, 0), (8, 0, 16, 16))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("own_mask", [True, False])
def test_what_is_transparent_is_repainted(client, own_mask):
    files = {"mask": half_transparent()} if own_mask else {}
    picture = png((1, 2, 3)) if own_mask else half_transparent()
    answer = client.images.edit(
        image=picture, prompt="x", model="test/mask", response_format="b64_json", **files
    )
    mask = opened(base64.b64decode(answer.data[0].b64_json))
    assert (mask.getpixel((2, 8)), mask.getpixel((12, 8))) == ((0, 0, 0), (255, 255, 255))


def test_a_mask_without_transparency_says_what_would_work(client):
    with pytest.raises(openai.UnprocessableEntityError, match="make transparent") as caught:
        client.images.edit(image=png((1, 2, 3)), mask=png((9, 9, 9)), prompt="x", model="test/mask")
    assert (caught.value.code, caught.value.type) == ("invalid_image", "invalid_request_error")


@pytest.mark.parametrize(
    ("fields", "kind", "code", "param"),
    [
        ({"model": "test/instnt"}, openai.NotFoundError, "model_not_found", None),
        ({"n": 11}, openai.UnprocessableEntityError, "invalid_input", "n"),
        ({"model": OVIS, "size": "large"}, openai.UnprocessableEntityError, "invalid_input", "size"),
        ({"quality": "best"}, openai.UnprocessableEntityError, "invalid_input", "quality"),
        ({"background": "transparent"}, openai.UnprocessableEntityError, "invalid_input", "background"),
        ({"extra_body": {"promt": "x"}}, openai.UnprocessableEntityError, "invalid_input", "promt"),
        ({"extra_body": {"num_inference_steps": 0}}, openai.UnprocessableEntityError, "invalid_input", None),
        ({"model": "test/echo"}, openai.UnprocessableEntityError, "invalid_input", "model"),
        ({"model": "test/raises"}, openai.InternalServerError, "internal_error", None),
    ],
)
def test_errors_are_those_that_the_client_expects(client, fields, kind, code, param):
    with pytest.raises(kind) as caught:
        client.images.generate(**{"prompt": "x", "model": "test/instant", **fields})
    assert caught.value.code == code
    if param:
        assert caught.value.param == param
    assert caught.value.body["message"] in str(caught.value)


def test_a_wrong_key_is_an_authentication_error(at):
    with openai.OpenAI(base_url=f"{at.url}/v1", api_key="w" * 40, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.images.generate(prompt="x")
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_the_client_lists_our_models(client):
    assert "test/instant" in [model.id for model in client.models.list()]


def test_who_hangs_up_leaves_nothing_in_the_queue(at):
    with (
        openai.OpenAI(base_url=f"{at.url}/v1", api_key=at.key, max_retries=0, timeout=1) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.images.generate(prompt="x", model="test/slow", n=6, extra_body={"num_inference_steps": 60})
    with at.http() as http:
        answer = http.post("/v1/models/test/instant", json={}).json()
        deadline = time.monotonic() + 60
        while http.get(answer["status_url"]).json().get("queue_position", 0) > 0:
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)


# --- From their fields to ours --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


def asked(own=None, images=(), mask=None, **fields) -> Asked:
    return Asked(ImagesInput.parse({"prompt": "a red house", **fields}), own or {}, tuple(images), mask)


def mapped(catalogue, **what):
    wish = asked(**what)
    return list(inputs_for(wish, model_for(wish, catalogue)))


@pytest.mark.parametrize(
    ("model", "size", "ours"),
    [
        (OVIS, "1024x1024", "square_hd"),
        (OVIS, "512x512", "square"),
        (OVIS, "256x256", "square"),
        (OVIS, "1536x1024", "landscape_4_3"),
        (OVIS, "1792x1024", "landscape_16_9"),
        (OVIS, "1024x1792", "portrait_16_9"),
        (INPAINTING, "768x1024", "portrait_4_3"),
        (WAN, "1344x576", "1344*576 (21:9)"),
        (WAN, "1536x1024", "1200*800 (3:2)"),
        (INPAINTING, "auto", "auto"),
    ],
)
def test_a_size_becomes_the_nearest_in_shape(catalogue, model, size, ours):
    images = () if model == OVIS else (b"picture",)
    [value] = mapped(catalogue, model=model, size=size, images=images)
    assert value["image_size"] == ours


@pytest.mark.parametrize(
    ("model", "quality", "steps"),
    [
        (OVIS, "low", 14),
        (OVIS, "medium", None),
        (OVIS, "standard", None),
        (OVIS, "high", 50),
        (OVIS, "hd", 50),
        (INPAINTING, "low", 10),
        (INPAINTING, "max", 30),
        (WAN, "high", None),
    ],
)
def test_quality_becomes_steps(catalogue, model, quality, steps):
    images = () if model == OVIS else (b"picture",)
    [value] = mapped(catalogue, model=model, quality=quality, images=images)
    assert value.get("num_inference_steps") == steps


@pytest.mark.parametrize("model", [OVIS, INPAINTING, WAN, "tongyi-mai/z-image/turbo/controlnet/lora"])
def test_every_shipped_model_accepts_what_it_is_given(catalogue, model):
    found = catalogue.get(model)
    images = () if model == OVIS else (png((1, 2, 3)),)
    [value] = mapped(
        catalogue, model=model, images=images, size="1024x1024", quality="low", output_format="png"
    )
    found.Input.parse(value)


def test_what_is_asked_for_chooses_the_model(catalogue):
    picture = [b"picture"]
    assert model_for(asked(), catalogue).id == OVIS
    assert model_for(asked(model="dall-e-3"), catalogue).id == OVIS
    assert model_for(asked(images=picture), catalogue).id == WAN
    assert model_for(asked(images=picture, mask=b"mask"), catalogue).id == INPAINTING
    assert model_for(asked(model=INPAINTING, images=picture), catalogue).id == INPAINTING


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ({"model": OVIS, "images": [b"x"]}, "model"),
        ({"model": INPAINTING}, "model"),
        ({"model": WAN, "images": [b"x"], "mask": b"x"}, "mask"),
        ({"model": INPAINTING, "images": [b"x", b"y"]}, "image"),
        ({"model": WAN, "images": [b"x"], "output_format": "webp"}, "output_format"),
    ],
)
def test_what_a_model_cannot_do_is_refused(catalogue, what, field):
    with pytest.raises(InvalidInput) as caught:
        mapped(catalogue, **what)
    assert [problem.field for problem in caught.value.fields] == [field]


def test_where_the_usual_model_is_not_ready_a_prompt_goes_to_one_that_is(catalogue):
    with_own = load_catalogue(MODELS)
    chosen = model_for(asked(), with_own)
    assert with_own.weights_of(chosen) is not None
    assert chosen.id == OVIS or with_own.weights_of(with_own.get(OVIS)) is None


@pytest.mark.parametrize(
    ("fields", "is_inside"),
    [
        ({}, False),
        ({"model": "gpt-image-2"}, True),
        ({"model": "chatgpt-image-latest"}, True),
        ({"model": "dall-e-3"}, False),
        ({"model": "gpt-image-2", "response_format": "url"}, False),
        ({"response_format": "b64_json"}, True),
    ],
)
def test_which_models_answer_with_the_image_itself(fields, is_inside):
    assert asked(**fields).wants_base64 is is_inside


def test_an_unknown_model_is_told_the_nearest(catalogue):
    with pytest.raises(ModelNotFound, match=OVIS):
        model_for(asked(model="aidc/ovis-imge"), catalogue)


# --- Forms ----------------------------------------------------------------------------------------------


def form(*parts: tuple[str, bytes], boundary: str = "b") -> tuple[bytes, str]:
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


PICTURE = ('name="image"; filename="a.png"', png((1, 2, 3)))


def test_text_in_a_form_is_read_as_the_models_own_types(catalogue):
    wish = read_edit(
        *form(
            PICTURE,
            ('name="prompt"', b"7"),
            ('name="n"', b"2"),
            ('name="strength"', b"0.5"),
            ('name="loras"', b"[]"),
        ),
        Language.EN,
    )
    values = list(inputs_for(wish, model_for(Asked(wish.input, wish.own, wish.images, b"mask"), catalogue)))
    assert len(values) == 2
    assert (values[0]["prompt"], values[0]["strength"], values[0]["loras"]) == ("7", 0.5, [])


@pytest.mark.parametrize(
    "body",
    [
        form(('name="prompt"', b"x")),
        form(PICTURE),
        form(PICTURE, ('name="prompt"', b"\xff")),
        form(PICTURE, ('name="prompt"', b"x"), ('name="n"', b"many")),
        form(PICTURE, ('name="prompt"', b"x"), ('name="stream"', b"true")),
        form(('name="picture"; filename="a.png"', b"x"), ('name="prompt"', b"x")),
        form(*[('name="x"', b"")] * 100),
        (b"--b\r\nno header\r\n\r\n", "multipart/form-data; boundary=b"),
        (b"", "multipart/form-data; boundary=b"),
        (form(PICTURE)[0][:-40], "multipart/form-data; boundary=b"),
    ],
)
def test_a_broken_form_is_refused(body):
    with pytest.raises(InvalidInput):
        read_edit(*body, Language.EN)


def test_a_body_that_is_no_object_is_refused():
    with pytest.raises(InvalidInput, match="JSON object"):
        read_generation(b"[]", Language.EN)
