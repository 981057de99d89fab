import os

import pytest

from safelight.engine.pixels import BrokenProtocol, Pixels, Size, output_path, read_pixels
from safelight.engine.protocol import (
    LENGTH_BYTES,
    MAX_FRAME_BYTES,
    Begun,
    Decode,
    Decoded,
    Done,
    Failed,
    Generate,
    Loaded,
    Ready,
    Setup,
    Step,
    Stop,
    Stopped,
    body_length,
    decode_from_child,
    decode_from_parent,
    encode,
)


@pytest.mark.parametrize(
    "message",
    [
        Setup("cpu", None),
        Setup("cuda:1", "/models"),
        Generate(
            *("job", "a/model", {"prompt": "눈 \u2028", "scale": 0.9, "loras": []}),
            *({"image_url": [Pixels("/a", Size(5, 3))]}, "/b"),
        ),
        Decode("/a", "/b", "black", holes=True, scaled_to=Size(5, 3)),
        Stop(),
    ],
)
def test_what_the_parent_says_is_what_the_child_hears(message):
    frame = encode(message)
    assert body_length(frame[:LENGTH_BYTES]) == len(frame) - LENGTH_BYTES
    assert decode_from_parent(frame[LENGTH_BYTES:]) == message


@pytest.mark.parametrize(
    "message",
    [
        Ready(True),
        Begun(),
        Loaded(1.5, ["a/model"]),
        Step(1, 8),
        Done([Size(1024, 768)], "nano", 0.5, ["cut"]),
        Failed("corrupt_image", "The image is damaged.", "이미지가 손상되었습니다."),
        Stopped(),
        Decoded(Size(5, 3)),
    ],
)
def test_what_the_child_says_is_what_the_parent_hears(message):
    assert decode_from_child(encode(message)[LENGTH_BYTES:]) == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b"[]",
        b'{"kind":"unknown"}',
        b'{"kind":"step","step":"1","steps":2}',
        b'{"kind":"step","step":1,"steps":2,"path":"/etc/passwd"}',
        b'{"kind":"step","step":-1,"steps":2}',
        b'{"kind":"done","sizes":[],"weights":"nano","generate_s":1.0,"notes":[]}',
        b'{"kind":"done","sizes":[{"width":1000000,"height":1000000}],"weights":"nano","generate_s":1,"notes":[]}',
        b'{"kind":"generate","job_id":"a","model_id":"b","input":{},"images":{},"folder":"c"}',
    ],
)
def test_nonsense_from_the_child_is_a_broken_protocol(body):
    with pytest.raises(BrokenProtocol):
        decode_from_child(body)


@pytest.mark.parametrize("length", [0, MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_frame_has_a_bounded_length(length):
    with pytest.raises(BrokenProtocol):
        body_length(length.to_bytes(LENGTH_BYTES, "big"))


def test_pixels_are_read_from_the_folder(tmp_path):
    output_path(tmp_path, 0).write_bytes(b"rgbrgb")
    assert read_pixels(output_path(tmp_path, 0), Size(2, 1)) == b"rgbrgb"


@pytest.mark.parametrize("size", [Size(1, 1), Size(3, 1)])
def test_pixels_of_another_size_are_refused(tmp_path, size):
    output_path(tmp_path, 0).write_bytes(b"rgbrgb")
    with pytest.raises(BrokenProtocol):
        read_pixels(output_path(tmp_path, 0), size)


def test_a_link_in_place_of_pixels_is_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"abc")
    output_path(tmp_path, 0).symlink_to(secret)
    with pytest.raises(BrokenProtocol):
        read_pixels(output_path(tmp_path, 0), Size(1, 1))


def test_a_pipe_in_place_of_pixels_does_not_block(tmp_path):
    os.mkfifo(output_path(tmp_path, 0))
    with pytest.raises(BrokenProtocol):
        read_pixels(output_path(tmp_path, 0), Size(1, 1))
