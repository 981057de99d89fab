import asyncio
import os
import signal
from pathlib import Path

import pytest
from PIL import Image

from safelight.engine.decoder import Decoder
from safelight.engine.decoding import MEMORY_BYTES
from safelight.engine.pixels import Size, read_pixels
from safelight.engine.process import ChildDied, Patience, RunFailed
from safelight.engine.protocol import Decode
from safelight.errors import StorageFull
from safelight.worker.attempt import Attempt
from safelight.worker.prepare import decode_images
from tests.jobs import new_job
from tests.models.behaviours import MaskedInput
from tests.processes import is_alive, may_leave_network


@pytest.fixture
async def decoder():
    decoder = Decoder()
    yield decoder
    await decoder.kill()


@pytest.fixture
def image(tmp_path):
    """Three pixels: blue, half transparent red, nothing."""
    image = Image.new("RGBA", (3, 1), (0, 0, 255, 255))
    image.putpixel((1, 0), (255, 0, 0, 128))
    image.putpixel((2, 0), (0, 0, 0, 0))
    image.save(tmp_path / "image.png")
    return tmp_path / "image.png"


@pytest.fixture
def slow(tmp_path):
    """An image as large as is let in, in a small file."""
    Image.new("1", (8000, 8000)).save(tmp_path / "slow.png")
    return tmp_path / "slow.png"


def asked(image, **how):
    return Decode(str(image), f"{image}.rgb", **how)


@pytest.mark.parametrize(
    ("how", "pixels"),
    [
        ({}, [(0, 0, 255), (255, 127, 127), (255, 255, 255)]),
        ({"backdrop": "black"}, [(0, 0, 255), (128, 0, 0), (0, 0, 0)]),
        ({"holes": True}, [(0, 0, 0), (127, 127, 127), (255, 255, 255)]),
    ],
)
async def test_an_image_becomes_pixels_in_a_file(decoder, image, how, pixels):
    size = await decoder.decode(asked(image, **how))
    assert size == Size(3, 1)
    assert read_pixels(Path(f"{image}.rgb"), size) == bytes(value for pixel in pixels for value in pixel)


async def test_an_image_is_scaled_to_the_size_asked_for_and_tells_its_own(decoder, image):
    assert await decoder.decode(asked(image, scaled_to=Size(6, 2))) == Size(3, 1)
    assert len(read_pixels(Path(f"{image}.rgb"), Size(6, 2))) == 36


async def test_an_inputs_images_are_decoded_as_its_fields_and_addresses_say(decoder, image, tmp_path):
    named = {"image_url": "file:a", "mask_image_url": "file:b"}
    paths = {name: [str(image)] for name in named}
    decoded = []
    for mask in ("file:b", "holes:b"):
        attempt = Attempt(new_job(input=named | {"mask_image_url": mask}), tmp_path)
        found = await decode_images(attempt, MaskedInput, paths, decoder)
        decoded += [read_pixels(Path(it.path), it.size)[-3:] for name in named for it in found[name]]
        assert "decode" in attempt.timings
    white, black = b"\xff" * 3, b"\0" * 3
    assert decoded == [white, black, white, white]


async def test_a_damaged_image_fails_its_job_by_name_and_no_other(decoder, image):
    damaged = image.with_name("damaged")
    damaged.write_bytes(b"<html>")
    await decoder.start()
    first = decoder.pid
    with pytest.raises(RunFailed) as caught:
        await decoder.decode(asked(damaged))
    assert caught.value.code == "unsupported_image"
    assert await decoder.decode(asked(image))
    assert decoder.pid == first


async def test_a_full_disk_is_no_fault_of_the_image(decoder, image):
    with pytest.raises(StorageFull):
        await decoder.decode(Decode(str(image), "/dev/full"))
    assert await decoder.decode(asked(image))


async def test_an_image_that_takes_too_long_costs_its_decoder(slow, image):
    decoder = Decoder(Patience(decode_s=0.01))
    with pytest.raises(ChildDied):
        await decoder.decode(asked(slow))
    assert decoder.pid is None


async def test_a_decoder_that_died_before_it_was_asked_is_replaced_at_once(decoder, image):
    await decoder.decode(asked(image))
    first = decoder.pid
    os.kill(first, signal.SIGKILL)
    assert await decoder.decode(asked(image)) == Size(3, 1)
    assert decoder.pid != first


async def test_one_image_waits_for_the_other_and_a_cancelled_one_ends_its_process(decoder, slow, image):
    await decoder.start()
    first = decoder.pid
    cancelled = asyncio.create_task(decoder.decode(asked(slow)))
    waiting = asyncio.create_task(decoder.decode(asked(image)))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await waiting == Size(3, 1)
    assert cancelled.cancelled()
    assert not is_alive(first)


async def test_the_decoder_is_confined_and_its_memory_bounded(decoder):
    if not may_leave_network():
        pytest.skip("this kernel does not let a process leave its network")
    await decoder.start()
    process = Path(f"/proc/{decoder.pid}")
    assert decoder.confined
    assert (process / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert "CapEff:\t0000000000000000" in (process / "status").read_text()
    limits = (process / "limits").read_text().splitlines()
    assert str(MEMORY_BYTES) in next(line for line in limits if line.startswith("Max address space"))
    assert "libtorch" not in (process / "maps").read_text()
