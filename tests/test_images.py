"""Images in every shape that people send, and pixels that come back unchanged."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from safelight.errors import (
    CorruptImage,
    FileTooLarge,
    ImageTooLarge,
    InvalidInput,
    UnsupportedImage,
)
from safelight.images import codec, headers
from safelight.images.codec import (
    MAX_IMAGE_BYTES,
    content_type,
    decode,
    encode,
    identify,
    parse_data_uri,
    read_size,
)

FORMATS = ["png", "jpeg", "webp"]
GOOD = {"png": {}, "jpeg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}


def picture(width: int = 40, height: int = 24) -> Image.Image:
    """A picture whose four corners differ: smooth enough for JPEG."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - (x + y) / 2], axis=-1).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """A PNG by hand. colour: 0 grey, 2 RGB, 3 palette. rows: one filter byte before each row."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    )


def zeros_png(width: int, height: int) -> bytes:
    return png(width, height, bytes((width // 8 + 1) * height), bits=1)


@pytest.fixture
def decoded(tmp_path: Path):
    def from_bytes(data: bytes) -> Image.Image:
        (tmp_path / "image").write_bytes(data)
        return decode(tmp_path / "image")

    return from_bytes


def pixels(image: Image.Image) -> list[tuple[int, ...]]:
    return [tuple(pixel) for pixel in np.asarray(image).reshape(-1, 3).tolist()]


def difference(image: Image.Image, expected: Image.Image) -> int:
    """The largest difference of any channel of any pixel."""
    assert image.size == expected.size
    return int(np.abs(np.asarray(image).astype(int) - np.asarray(expected).astype(int)).max())


# --- What can be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_an_ordinary_image_is_decoded(decoded, kind: str) -> None:
    image = decoded(saved(picture(), kind, **GOOD[kind]))
    assert (image.mode, type(image)) == ("RGB", Image.Image)
    assert difference(image, picture()) <= (8 if kind == "jpeg" else 0)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_bytes(saved(picture(), "png"))
    assert decode(tmp_path / "x.svg").size == (40, 24)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_size_is_read_without_decoding(tmp_path: Path, kind: str) -> None:
    data = saved(picture(300, 200), kind)
    (tmp_path / "x").write_bytes(data[:1000] if kind != "webp" else data[:40])
    assert read_size(tmp_path / "x") == (300, 200)
    assert identify(data) == kind


def test_every_kind_of_webp_tells_its_size(tmp_path: Path) -> None:
    lossy, lossless = saved(picture(), "webp"), saved(picture(), "webp", lossless=True)
    extended = saved(picture().convert("RGBA"), "webp", exif=Image.Exif().tobytes())
    assert [data[12:16] for data in (lossy, lossless, extended)] == [b"VP8 ", b"VP8L", b"VP8X"]
    for data in (lossy, lossless, extended):
        (tmp_path / "x").write_bytes(data)
        assert read_size(tmp_path / "x") == (40, 24)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(decoded, kind: str, orientation: int) -> None:
    """The expectation is written as array moves, not with the code under test's transpositions."""
    upright = np.asarray(picture())
    as_stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif.tobytes()} | GOOD[kind]
    image = decoded(saved(Image.fromarray(np.ascontiguousarray(as_stored)), kind, **options))
    assert difference(image, picture()) <= (8 if kind == "jpeg" else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0junk", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_broken_exif_costs_nothing_but_the_orientation(decoded, exif: bytes) -> None:
    for kind in FORMATS:
        assert decoded(saved(picture(), kind, exif=exif)).size == (40, 24)


def test_an_orientation_that_does_not_exist_is_upright(decoded) -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    assert decoded(saved(picture(), "png", exif=exif.tobytes())).size == (40, 24)


def test_metadata_is_dropped(decoded) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", "a secret")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "camera"
    image = decoded(
        saved(picture(), "png", pnginfo=text, icc_profile=profile, exif=exif.tobytes(), dpi=(300, 300))
    )
    assert image.info == {}
    assert dict(image.getexif()) == {}
    for kind in FORMATS:
        written = encode(image, kind)
        assert not any(word in written for word in (b"secret", b"camera", b"ICC_PROFILE", b"iCCP", b"Exif"))


@pytest.mark.parametrize("profile", [b"", b"junk", b"\0" * 200_000])
def test_a_junk_colour_profile_is_ignored(decoded, profile: bytes) -> None:
    for kind in FORMATS:
        assert decoded(saved(picture(), kind, icc_profile=profile)).size == (40, 24)


def test_transparency_lies_over_white(decoded) -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)])
    for kind in ("png", "webp"):
        data = saved(image, kind, **({"lossless": True} if kind == "webp" else {}))
        assert pixels(decoded(data)) == [(255, 0, 0), (255, 255, 255), (127, 127, 127)]


def test_grey_with_transparency_lies_over_white(decoded) -> None:
    image = Image.new("LA", (2, 1))
    image.putdata([(10, 255), (10, 0)])
    assert pixels(decoded(saved(image, "png"))) == [(10, 10, 10), (255, 255, 255)]


@pytest.mark.parametrize("transparency", [0, b"\0\xff"])
def test_a_palette_with_transparency_lies_over_white(decoded, transparency: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    assert pixels(decoded(saved(image, "png", transparency=transparency))) == [
        (255, 255, 255),
        (0, 0, 255),
    ]


def test_a_transparent_colour_lies_over_white(decoded) -> None:
    image = Image.new("RGB", (2, 1))
    image.putdata([(1, 2, 3), (4, 5, 6)])
    assert pixels(decoded(saved(image, "png", transparency=(1, 2, 3)))) == [
        (255, 255, 255),
        (4, 5, 6),
    ]


def test_sixteen_bits_keep_their_brightness(decoded) -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    grey = png(5, 1, b"\0" + values.astype(">u2").tobytes(), bits=16)
    colour = png(5, 1, b"\0" + np.repeat(values.astype(">u2"), 3).tobytes(), bits=16, colour=2)
    alpha = png(
        5,
        1,
        b"\0" + np.stack([values, np.full_like(values, 65535)], -1).astype(">u2").tobytes(),
        bits=16,
        colour=4,
    )
    for data in (grey, colour, alpha):
        assert [pixel for pixel, _, _ in pixels(decoded(data))] == [0, 0, 1, 128, 255]


@pytest.mark.parametrize(("colour", "key"), [(0, b"\x01\x00"), (2, b"\x01\x00" * 3)])
def test_sixteen_bits_with_a_transparent_colour_are_decoded(decoded, colour: int, key: bytes) -> None:
    samples = 3 if colour else 1
    data = png(2, 1, b"\0" + b"\x80\x00" * 2 * samples, bits=16, colour=colour, extra=chunk(b"tRNS", key))
    assert pixels(decoded(data)) == [(128, 128, 128)] * 2


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_keep_their_brightness(decoded, bits: int) -> None:
    assert decoded(png(8, 1, b"\0" + b"\xff" * bits, bits=bits)).getpixel((7, 0)) == (255, 255, 255)


def test_a_print_jpeg_becomes_rgb(decoded) -> None:
    image = decoded(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg", quality=95))
    assert difference(image, Image.new("RGB", (8, 8), (255, 0, 0))) <= 4


def test_of_many_frames_the_first_counts(decoded) -> None:
    frames = [Image.new("RGB", (8, 8), (n % 256, 0, 0)) for n in range(2000)]
    more = {"save_all": True, "append_images": frames[1:]}
    assert decoded(saved(frames[0], "webp", lossless=True, minimize_size=False, **more)).getpixel((0, 0)) == (
        0,
        0,
        0,
    )
    assert decoded(saved(frames[0], "png", **more)).getpixel((0, 0)) == (0, 0, 0)


def test_of_a_multi_picture_jpeg_the_first_counts(decoded) -> None:
    second = Image.new("RGB", (8, 8), "blue")
    data = saved(Image.new("RGB", (40, 24), "red"), "mpo", save_all=True, append_images=[second])
    assert difference(decoded(data), Image.new("RGB", (40, 24), (254, 0, 0))) <= 2


def test_a_picture_with_something_behind_it_is_a_picture(decoded) -> None:
    """A phone's motion photo holds a video behind the JPEG; a polyglot an archive. Neither is looked at."""
    rest = b"PK\x03\x04<script>alert(1)</script>" + b"\xff\xda\0\2" * 20_000
    for kind in FORMATS:
        assert decoded(saved(picture(), kind) + rest).size == (40, 24)


def test_a_progressive_jpeg_is_decoded(decoded) -> None:
    assert decoded(saved(picture(), "jpeg", progressive=True)).size == (40, 24)


# --- What is refused, and as what ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"<!doctype html><html></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n",
        b"%PDF-1.7\n",
        b"GIF89a\x01\0\x01\0\0\0\0;",
        b"BM" + b"\0" * 60,
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a",
        b"\0\0\0\x20ftypavif",
        b"PK\x03\x04",
        b"<script>" + b"\xff\xd8\xff\xe0",
    ],
)
def test_what_is_no_png_jpeg_or_webp_is_unsupported(decoded, data: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        decoded(data)


@pytest.mark.parametrize("kind", ["gif", "tiff", "bmp", "ico", "ppm", "tga"])
def test_other_formats_that_pillow_knows_are_unsupported(decoded, kind: str) -> None:
    with pytest.raises(UnsupportedImage):
        decoded(saved(picture(), kind))


@pytest.mark.parametrize("size", [(13_038, 13_038), (65_000, 2), (2, 65_000), (16_385, 1), (8_001, 8_000)])
def test_too_many_pixels_are_refused_before_decoding(decoded, monkeypatch, size: tuple[int, int]) -> None:
    monkeypatch.setattr(codec, "_open", lambda data: pytest.fail("decoded"))
    data = zeros_png(*size)
    assert len(data) < 25_000
    with pytest.raises(ImageTooLarge):
        decoded(data)


def test_a_huge_jpeg_or_webp_is_refused_by_its_header(decoded) -> None:
    jpeg = saved(picture(), "jpeg")
    frame = jpeg.index(b"\xff\xc0")
    huge_jpeg = jpeg[: frame + 5] + struct.pack(">HH", 60_000, 60_000) + jpeg[frame + 9 :]
    webp = saved(picture().convert("RGBA"), "webp", exif=Image.Exif().tobytes())
    huge_webp = webp[:24] + b"\xff\x3f\0" + b"\xff\x3f\0" + webp[30:]
    for data in (huge_jpeg, huge_webp):
        with pytest.raises(ImageTooLarge):
            decoded(data)


def test_the_largest_image_allowed_is_decoded(decoded) -> None:
    assert decoded(zeros_png(16_384, 3_906)).size == (16_384, 3_906)


def test_an_image_without_pixels_is_corrupt(tmp_path: Path) -> None:
    jpeg = saved(picture(), "jpeg")
    frame = jpeg.index(b"\xff\xc0")
    webp = saved(picture(), "webp")
    for data in (
        zeros_png(0, 8),
        zeros_png(8, 0),
        jpeg[: frame + 5] + b"\0\0" + jpeg[frame + 7 :],
        webp[:26] + b"\0\0" + webp[28:],
    ):
        (tmp_path / "x").write_bytes(data)
        for judge in (decode, read_size):
            with pytest.raises(CorruptImage):
                judge(tmp_path / "x")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_image_is_corrupt(decoded, kind: str) -> None:
    data = saved(picture(200, 100), kind)
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9):
        with pytest.raises(CorruptImage):
            decoded(data[: max(16, int(len(data) * share))])


def test_a_file_above_the_limit_is_not_read_further(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.write(saved(picture(), "png"))
        file.truncate(MAX_IMAGE_BYTES + 1)
    for judge in (decode, read_size):
        with pytest.raises(FileTooLarge, match="50 MB"):
            judge(tmp_path / "x")


def test_text_that_unpacks_to_gigabytes_is_corrupt(decoded) -> None:
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 1_000_000)) * 300
    with pytest.raises(CorruptImage):
        decoded(png(8, 8, bytes(72), extra=bomb))
    with pytest.raises(CorruptImage):
        decoded(png(8, 8, bytes(72), extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 10_000_000))))


def test_pixels_that_unpack_to_gigabytes_stop_at_the_image(decoded) -> None:
    assert decoded(png(8, 8, bytes(100_000_000))).size == (8, 8)


def test_millions_of_parts_are_refused_before_decoding(decoded, monkeypatch) -> None:
    many = headers.MAX_PARTS + 1
    jpeg = saved(picture(), "jpeg")
    bombs = [jpeg[:at] + b"\xff\xfe\0\2" * many + jpeg[at:] for at in (2, jpeg.index(b"\xff\xda"))]
    bombs.append(png(8, 8, bytes(72), extra=chunk(b"tEXt", b"a\0") * many))
    monkeypatch.setattr(codec, "_open", lambda data: pytest.fail("decoded"))
    for data in bombs:
        with pytest.raises(CorruptImage):
            decoded(data)


def test_hundreds_of_scans_are_refused_before_decoding(decoded, monkeypatch) -> None:
    monkeypatch.setattr(codec, "_open", lambda data: pytest.fail("decoded"))
    jpeg = saved(picture(), "jpeg", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    with pytest.raises(CorruptImage):
        decoded(jpeg[:last] + jpeg[last:-2] * 200 + b"\xff\xd9")


def test_a_header_that_contradicts_the_decoder_is_corrupt(decoded, monkeypatch) -> None:
    """Two frame headers: we read the first, Pillow the last, and that one may be the bomb."""
    jpeg = saved(picture(), "jpeg")
    frame = jpeg.index(b"\xff\xc0")
    huge = jpeg[frame : frame + 5] + struct.pack(">HH", 60_000, 60_000) + jpeg[frame + 9 : frame + 19]
    monkeypatch.setattr(codec.JpegImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(CorruptImage):
        decoded(jpeg[: frame + 19] + huge + jpeg[frame + 19 :])


def damaged() -> Iterator[bytes]:
    for kind in FORMATS:
        yield saved(picture(), kind, exif=Image.Exif().tobytes())


@settings(deadline=None, max_examples=200)
@given(
    data=st.sampled_from(list(damaged())),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_damaged_image_is_decoded_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, changes: list[tuple[int, int]]
) -> None:
    mangled = bytearray(data)
    for position, value in changes:
        mangled[position % len(mangled)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(mangled)
    try:
        image = decode(path)
    except (CorruptImage, UnsupportedImage, ImageTooLarge):
        return
    assert image.mode == "RGB"
    assert 0 not in image.size


# --- What goes out -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 48)])
def test_an_encoded_image_comes_back(kind: str, size: tuple[int, int]) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    image = noise if kind != "jpeg" else picture(*size)
    back = Image.open(BytesIO(encode(image, kind)))
    assert back.format == kind.upper()
    assert difference(back.convert("RGB"), image) <= (8 if kind == "jpeg" else 0)


def test_jpeg_keeps_the_colour_of_every_pixel() -> None:
    stripes = Image.fromarray(np.tile(np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8), (32, 16, 1)))
    assert difference(Image.open(BytesIO(encode(stripes, "jpeg"))), stripes) <= 40


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_pixels_give_the_same_bytes(kind: str) -> None:
    assert encode(picture(), kind) == encode(picture().copy(), kind)


def test_the_media_type_is_the_formats() -> None:
    assert [content_type(kind) for kind in FORMATS] == ["image/png", "image/jpeg", "image/webp"]
    with pytest.raises(ValueError, match="svg"):
        content_type("svg")


# --- Data URIs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["data:image/png", "data:image/jpeg", "data:image/jpg", "DATA:Image/WebP"])
def test_a_data_uri_gives_its_bytes(head: str) -> None:
    assert parse_data_uri(f"{head};base64,{base64.b64encode(b'any bytes').decode()}") == b"any bytes"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data:",
        "data:,",
        "data:text/html;base64,AAAA",
        "data:image/svg+xml;base64,AAAA",
        "data:image/gif;base64,AAAA",
        "data:image/png,AAAA",
        "data:image/png;charset=utf-8;base64,AAAA",
        " data:image/png;base64,AAAA",
        "data:image/png;base64,",
        "data:image/png;base64,A",
        "data:image/png;base64,AAA",
        "data:image/png;base64,AAAA=",
        "data:image/png;base64,AAAA====",
        "data:image/png;base64,====",
        "data:image/png;base64,AA=A",
        "data:image/png;base64,AA==AA==",
        "data:image/png;base64,AA AA",
        "data:image/png;base64,AAAA\n",
        "data:image/png;base64,AA-_",
        "data:image/png;base64,AAA%3D",
        "data:image/png;base64,ＡＡＡＡ",
        "data:image/png;base64,AAA\ud800",
        "data:image/png;base64,AAA\0",
    ],
)
def test_a_data_uri_that_is_not_strict_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_data_uri(text)
    assert len(raised.value.message) < 100


def test_a_data_uri_holds_as_much_as_a_file_may() -> None:
    head = "data:image/png;base64,"
    assert len(parse_data_uri(head + base64.b64encode(bytes(MAX_IMAGE_BYTES)).decode())) == MAX_IMAGE_BYTES
    for excess in (1, 2, 3, 1000):
        with pytest.raises(InvalidInput, match="50 MB"):
            parse_data_uri(head + base64.b64encode(bytes(MAX_IMAGE_BYTES + excess)).decode())


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_data_uri_or_refused(text: str) -> None:
    for candidate in (text, "data:image/png;base64," + text):
        with suppress(InvalidInput):
            assert parse_data_uri(candidate)
