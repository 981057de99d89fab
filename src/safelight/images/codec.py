"""Bytes ↔ pixels: PNG, JPEG and WebP, told apart by content alone.

What comes in is judged by its header before a pixel is decoded; what goes out is always encoded anew and
carries no metadata. `decode` belongs outside the API process; `read_size` and `parse_data_uri` do not decode.
"""

from __future__ import annotations

import binascii
import re
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, ImageChops, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from safelight.errors import CorruptImage, FileTooLarge, InvalidImage, InvalidInput, SafelightError
from safelight.images.headers import (
    MAX_IMAGE_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    ImageFormat,
    check_parts,
    identify,
    size_of,
)
from safelight.texts import Text

__all__ = [
    "MAX_IMAGE_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "ImageFormat",
    "content_type",
    "decode",
    "decode_holes",
    "encode",
    "identify",
    "parse_data_uri",
    "read_size",
    "size_of",
]


def content_type(format: str) -> str:
    """The media type of an image format."""
    return f"image/{ImageFormat(format)}"


def read_size(path: Path) -> tuple[int, int]:
    """Read width and height as stored (before any rotation) from the header, decoding nothing.

    Raises UnsupportedImage, CorruptImage, ImageTooLarge, FileTooLarge.
    """
    return size_of(_read(path))


def decode(path: Path, backdrop: str = "white") -> Image.Image:
    """Decode an image's first frame: upright, RGB, transparency over the backdrop, without metadata.

    Raises UnsupportedImage, CorruptImage, ImageTooLarge, FileTooLarge.
    """
    return _decode(path, lambda image: _rgb(image, backdrop))


def decode_holes(path: Path) -> Image.Image:
    """Decode the transparency of an image's first frame as a mask: white where it is transparent.

    Raises InvalidImage when it has none, and what `decode` raises.
    """
    return _decode(path, _holes)


def _decode(path: Path, to_rgb: Callable[[Image.Image], Image.Image]) -> Image.Image:
    data = _read(path)
    size = size_of(data)
    check_parts(data)
    try:
        # A hostile file must neither print nor, where warnings are errors, choose the error we raise.
        with warnings.catch_warnings(action="ignore"), _open(data) as image:
            if image.size != size:
                raise CorruptImage
            image.load()
            turn, pixels = _turn(image), to_rgb(image)
            upright = pixels if turn is None else pixels.transpose(turn)
            upright.info = {}
            return upright
    except (SafelightError, MemoryError):
        raise
    except Exception as error:  # hostile bytes raise anything: struct.error, KeyError, zlib.error, …
        raise CorruptImage from error


def encode(image: Image.Image, format: str) -> bytes:
    """Encode an RGB image. PNG and WebP keep every pixel exactly; JPEG is quality 95 without subsampling."""
    match ImageFormat(format):
        case ImageFormat.PNG:
            return _png(image)
        case ImageFormat.JPEG:
            return _saved(image, "JPEG", quality=95, subsampling=0)
        case ImageFormat.WEBP:
            return _saved(image, "WEBP", lossless=True, quality=0, method=0)


_BASE64_PIECE = 4 * 2**20


def parse_data_uri(text: str) -> bytes:
    """Take the bytes out of `data:image/png;base64,…` (or jpeg, jpg, webp). Raises InvalidInput.

    Only the form is judged; what the bytes are, their content tells. Base64 is the standard alphabet with its
    padding and no white space. 50 MB take about 0.15 s.
    """
    head = re.match(r"data:image/(png|jpe?g|webp);base64,", text, re.IGNORECASE)
    if not head:
        raise InvalidInput(_NO_DATA_URI)
    payload = text[head.end() :]
    if len(payload) // 4 * 3 - payload.count("=", -2) > MAX_IMAGE_BYTES:
        raise InvalidInput(_TOO_MUCH_DATA)
    try:
        # In pieces: each holds up every other thread of the process.
        pieces = range(0, len(payload), _BASE64_PIECE)
        data = b"".join(binascii.a2b_base64(payload[at : at + _BASE64_PIECE]) for at in pieces)
    except ValueError:
        raise InvalidInput(_NOT_BASE64) from None
    # The decoder skips what is no base64; then the lengths differ.
    if not data or len(payload) != (len(data) + 2) // 3 * 4:
        raise InvalidInput(_NOT_BASE64)
    return data


_MAX_MB = MAX_IMAGE_BYTES // 1_000_000
_NO_DATA_URI = Text(
    "must start with data:image/png;base64, (or jpeg, or webp)",
    "data:image/png;base64,(또는 jpeg, webp)로 시작해야 합니다",
)
_TOO_MUCH_DATA = Text(f"must hold at most {_MAX_MB} MB", f"최대 {_MAX_MB}MB까지 가능합니다")
_NOT_BASE64 = Text(
    "must hold valid base64: A–Z, a–z, 0–9, + and /, with = at the end",
    "올바른 base64여야 합니다: A–Z, a–z, 0–9, +, /이고 끝은 =로 채웁니다",
)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_IMAGE_BYTES + 1)
    if len(data) > MAX_IMAGE_BYTES:
        raise FileTooLarge(
            Text(f"The image is larger than {_MAX_MB} MB.", f"이미지가 {_MAX_MB}MB보다 큽니다.")
        )
    return data


def _open(data: bytes) -> ImageFile.ImageFile:
    """Open by our own verdict on the format. `Image.open` would ask further plugins and warn of bombs."""
    return _KINDS[identify(data)](BytesIO(data))


_KINDS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    ImageFormat.PNG: PngImageFile,
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.WEBP: WebPImageFile,
}


def _rgb(image: Image.Image, backdrop: str) -> Image.Image:
    if image.mode == "I;16":
        # Pillow would clip 16-bit grey. Keep the high byte, as it does itself for 16-bit colour.
        return Image.frombytes("L", image.size, image.tobytes()[1::2]).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    whole = Image.new("RGB", image.size, backdrop)
    whole.paste(layer, mask=layer.getchannel("A"))
    return whole


def _holes(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        raise InvalidImage(_NO_HOLES)
    alpha = image.convert("RGBA").getchannel("A")
    return ImageChops.invert(alpha).convert("RGB")


_NO_HOLES = "The mask has no transparency: make transparent what shall be repainted."

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns each EXIF orientation upright; 1 is upright."""


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block raises anything, and the pixels are still good
        return None


def _png(image: Image.Image) -> bytes:
    """Encode a PNG as fast as is without growing it; see docs/decisions/0003-png-encoding.md."""
    import cv2  # not at the top: it takes 70 ms, and the API process never encodes
    import numpy as np

    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
    _, data = cv2.imencode(".png", cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR), options)
    return bytes(data)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
