"""What a device's errors mean for the job that met them, and which size would have fitted.

torch tells its own allocator's failures by class. Those of the driver, of cuBLAS, cuDNN and Triton come as
plain RuntimeErrors, which their words tell apart.
"""

from __future__ import annotations

import errno
import re
from math import prod

from safelight.errors import InternalError, OutOfMemory, SafelightError, StorageFull
from safelight.models.base import LARGEST_AUTO, Model
from safelight.texts import Text

_NO_MEMORY = re.compile(r"out of memory|CU(BLAS|DNN|SPARSE|SOLVER)_STATUS_ALLOC_FAILED", re.IGNORECASE)
_BROKEN = re.compile(r"CUDA (driver )?error|CU(BLAS|DNN|SPARSE|SOLVER)_STATUS_|Triton Error \[CUDA\]")


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device, or main memory, had no room for something; the process goes on well."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def is_device_broken(error: Exception) -> bool:
    """Whether the device reports an error that stays for the life of the process."""
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return _BROKEN.search(str(error)) is not None


def known_trouble(error: Exception) -> SafelightError:
    """What a job fails of when its model raised this."""
    if is_out_of_memory(error):
        return OutOfMemory()
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull()
    return InternalError()


def out_of_memory(model: Model, asked: tuple[int, int] | None, room_pixels: int | None) -> OutOfMemory:
    """The error of a job that does not fit, with the largest of the model's sizes that would.

    asked: its size; None: its images decided. room_pixels: how many fit; None: that is not known.
    """
    at = (
        Text("", "")
        if asked is None
        else Text(" at {}×{} pixels".format(*asked), " ({}×{}픽셀)".format(*asked))
    )
    named = Text(f"The device ran out of memory{at.en}", f"장치의 메모리가 부족합니다{at.ko}")
    if room_pixels is None:
        return OutOfMemory(
            Text(f"{named.en}; ask for a smaller image.", f"{named.ko}. 더 작은 이미지를 요청해 주세요.")
        )
    most = min(room_pixels, prod(asked or LARGEST_AUTO) - 1)
    fitting = [size for size in model.sizes() if prod(size) <= most]
    if not fitting:
        return OutOfMemory(
            Text(
                f"{named.en}, and no smaller size would fit beside this model's weights.",
                f"{named.ko}. 이 모델의 가중치와 함께 들어갈 더 작은 크기는 없습니다.",
            )
        )
    width, height = max(fitting, key=prod)
    return OutOfMemory(
        Text(f"{named.en}; {width}×{height} would fit.", f"{named.ko}. {width}×{height}이라면 들어갑니다.")
    )
