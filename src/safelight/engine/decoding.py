"""The child process that decodes images: whatever one of them does to its decoder, it does it here.

Started as `python -m safelight.engine.decoding` by its parent. It has no credentials, no weights, no device,
bounded memory and, where the kernel allows that, no network. It ends when its parent does.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import NoReturn

from PIL import Image

from safelight.engine.confine import bound_memory
from safelight.engine.pipes import enter
from safelight.engine.pixels import Size
from safelight.engine.protocol import Begun, Decode, Decoded, Failed, Ready
from safelight.errors import InternalError, OutOfMemory, SafelightError
from safelight.files.files import disk_errors
from safelight.images import codec

MEMORY_BYTES = 4 * 2**30
"""The largest image that is let in takes about 1 GB: its file, its pixels, those turned, their bytes."""


def main() -> NoReturn:
    """Take the network away, then decode one image after the other until the parent is gone."""
    parent, confined = enter()
    bound_memory(MEMORY_BYTES)
    parent.send(Ready(confined))
    while True:
        request = parent.requests.get()
        assert isinstance(request, Decode)  # noqa: S101 - the parent says nothing else
        parent.send(Begun())
        parent.send(_answer(request))


def _answer(request: Decode) -> Decoded | Failed:
    try:
        return _decoded(request)
    except SafelightError as error:
        return Failed.of(error)
    except MemoryError:
        return Failed.of(OutOfMemory())
    except Exception:
        traceback.print_exc()
        return Failed.of(InternalError())


def _decoded(request: Decode) -> Decoded:
    path = Path(request.path)
    image = codec.decode_holes(path) if request.holes else codec.decode(path, request.backdrop)
    own = Size(*image.size)
    if request.scaled_to and request.scaled_to != own:
        image = image.resize((request.scaled_to.width, request.scaled_to.height), Image.Resampling.LANCZOS)
    with disk_errors():
        Path(request.target).write_bytes(image.tobytes())
    return Decoded(own)


if __name__ == "__main__":
    main()
