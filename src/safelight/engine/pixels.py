"""Images as files of raw RGB bytes: how they travel between a worker's processes.

The parent says where the pixels shall lie, a child writes them there and tells their size. Outputs lie in the
job's folder as `0.rgb`, `1.rgb`, ….
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, with_config

RGB_BYTES = 3

strict = with_config(ConfigDict(strict=True, extra="forbid"))
"""What processes say to each other is validated as it stands, and nothing may be added to it."""


class BrokenProtocol(Exception):
    """The other process closed its end, said what is no message, or left other pixels than it said."""


@strict
@dataclass(frozen=True)
class Size:
    """Width and height of an image, in pixels."""

    width: Annotated[int, Field(ge=1, le=16_384)]
    height: Annotated[int, Field(ge=1, le=16_384)]


@strict
@dataclass(frozen=True)
class Pixels:
    """An image's raw RGB bytes: the file that they are in, and its size."""

    path: str
    size: Size


def output_path(folder: Path, index: int) -> Path:
    """Where the raw RGB bytes of a job's output number `index` are."""
    return folder / f"{index}.rgb"


def read_pixels(path: Path, size: Size) -> bytes:
    """The raw RGB bytes of one image. Raises BrokenProtocol unless the file is what the child said.

    A link is not followed: a child that was taken over must not choose what another process reads.
    """
    expected = size.width * size.height * RGB_BYTES
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BrokenProtocol("an image's pixels are missing") from error
    with open(descriptor, "rb") as file:
        data = file.read(expected + 1)
    if len(data) != expected:
        raise BrokenProtocol("an image has another size than was said")
    return data
