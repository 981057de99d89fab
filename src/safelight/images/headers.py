"""What an image's header says, read from bytes alone: format, size, and how much work decoding would be.

No decoder runs here, so the API process may ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice

from safelight.errors import CorruptImage, ImageTooLarge, UnsupportedImage

MAX_IMAGE_BYTES = 50_000_000
MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
MAX_PARTS = 65_536
"""Chunks of a PNG or segments of a JPEG: a 50 MB file can hold millions, each costing time and no pixels."""
MAX_SCANS = 100
"""Scans of a JPEG: a few bytes each, and every one passes over all pixels again. Cameras use about 10."""


class ImageFormat(StrEnum):
    """The formats that come in and go out, by their wire names."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"


def identify(data: bytes) -> ImageFormat:
    """Tell the format from an image's first 16 bytes or more. Raises UnsupportedImage."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return ImageFormat.PNG
    if data.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ImageFormat.WEBP
    raise UnsupportedImage


def size_of(data: bytes) -> tuple[int, int]:
    """Read width and height as stored, before any rotation.

    Raises UnsupportedImage, CorruptImage, and ImageTooLarge above MAX_PIXELS or MAX_SIDE.
    """
    sizes = {ImageFormat.PNG: _png_size, ImageFormat.JPEG: _jpeg_size, ImageFormat.WEBP: _webp_size}
    size = sizes[identify(data)](data)
    if size is None or 0 in size:
        raise CorruptImage
    width, height = size
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageTooLarge
    return width, height


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR" or len(data) < 24:
        return None
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Read the frame header: SOF0 to SOF15 without the tables (DHT, JPG, DAC) that share its numbers."""
    for marker, at in islice(_jpeg_segments(data), MAX_PARTS):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(data) >= at + 7:
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 3 : at + 5])
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Read the canvas: RFC 9649, sections 2.5 to 2.7."""
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and len(data) >= 25 and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a" and len(data) >= 30:
        return (
            int.from_bytes(data[26:28], "little") & 0x3FFF,
            int.from_bytes(data[28:30], "little") & 0x3FFF,
        )
    return None


def check_parts(data: bytes) -> None:
    """Refuse what would keep a decoder busy far beyond its pixels. Raises CorruptImage."""
    match identify(data):
        case ImageFormat.PNG:
            too_many = _count(_png_chunks(data)) > MAX_PARTS
        case ImageFormat.JPEG:
            markers = [marker for marker, _ in islice(_jpeg_segments(data), MAX_PARTS + 1)]
            too_many = len(markers) > MAX_PARTS or markers.count(_START_OF_SCAN) > MAX_SCANS
        case ImageFormat.WEBP:
            too_many = False  # one frame in one pass, whatever else the file holds
    if too_many:
        raise CorruptImage


def _count(parts: Iterator[object]) -> int:
    return sum(1 for _ in islice(parts, MAX_PARTS + 1))


_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)
"""A marker with a length after it, or the end. Compressed data holds none: it escapes 0xFF."""


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Walk the first image's (marker, offset of its length); what lies between, decoders skip too."""
    at = 2
    while (found := _MARKER.search(data, at)) and data[found.end() - 1] != _END_OF_IMAGE:
        at = found.end()
        yield data[at - 1], at
        at += max(2, int.from_bytes(data[at : at + 2]))


def _png_chunks(data: bytes) -> Iterator[int]:
    """Walk the offset of every chunk up to the end."""
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        yield at
        at += 12 + int.from_bytes(data[at : at + 4])
