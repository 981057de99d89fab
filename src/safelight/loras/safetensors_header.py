"""The header of a .safetensors file: the names, types and shapes of its tensors, without the tensors.

A file is eight bytes of length, that much JSON, then the tensors' bytes. Here it is judged as what a stranger
sent: nothing is allocated by a number that it claims.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safelight.errors import InvalidLora
from safelight.texts import Text

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
MAX_SIDE = 2**40

DTYPE_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64"), 8),
}


@dataclass(frozen=True)
class TensorInfo:
    """Type and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """What a file says of itself. size_bytes: how long the whole file has to be."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    size_bytes: int


def header_length(prefix: bytes) -> int:
    """The length of the JSON that follows the first eight bytes. Raises InvalidLora."""
    length = int.from_bytes(prefix[:LENGTH_BYTES], "little")
    if len(prefix) < LENGTH_BYTES or not 2 <= length <= MAX_HEADER_BYTES:
        raise InvalidLora(_NO_SAFETENSORS)
    return length


def parse_header(text: bytes) -> Header:
    """Read the JSON. Raises InvalidLora for what no honest file holds, such as gaps and overlaps."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidLora(_NO_SAFETENSORS) from None
    if not isinstance(content, dict):
        raise InvalidLora(_NO_SAFETENSORS)
    metadata = content.pop("__metadata__", {})
    if not content:
        raise InvalidLora(Text("The file holds no tensors.", "파일에 텐서가 없습니다."))
    if len(content) > MAX_TENSORS:
        raise InvalidLora(
            Text(
                f"The file holds more than {MAX_TENSORS} tensors.",
                f"파일의 텐서가 {MAX_TENSORS}개를 넘습니다.",
            )
        )
    tensors, spans = {}, []
    for name, entry in content.items():
        tensors[name], span = _tensor(entry)
        spans.append(span)
    return Header(tensors, _texts(metadata), LENGTH_BYTES + len(text) + _without_gaps(spans))


def read_header(path: Path) -> Header:
    """Read the header of a whole file. Raises InvalidLora, also when the file is cut off or too long."""
    with path.open("rb") as file:
        header = parse_header(file.read(header_length(file.read(LENGTH_BYTES))))
    if path.stat().st_size != header.size_bytes:
        raise InvalidLora(_WRONG_LENGTH)
    return header


def _tensor(entry: Any) -> tuple[TensorInfo, tuple[int, int]]:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
        plain = all(type(number) is int and 0 <= number <= MAX_SIDE for number in numbers)
        if not plain or len(shape) > MAX_DIMENSIONS or end - begin != prod(shape) * DTYPE_BYTES[dtype]:
            raise ValueError
    except (TypeError, KeyError, ValueError):
        raise InvalidLora(_DAMAGED_TENSOR) from None
    return TensorInfo(dtype, tuple(shape)), (begin, end)


def _without_gaps(spans: list[tuple[int, int]]) -> int:
    """The length of the tensors' bytes, which follow each other without gap or overlap."""
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise InvalidLora(_DAMAGED_LAYOUT)
        at = end
    return at


def _texts(metadata: Any) -> dict[str, str]:
    items = metadata.items() if isinstance(metadata, dict) else ()
    return {key: value for key, value in items if isinstance(value, str)}


_NO_SAFETENSORS = Text("This is no .safetensors file.", ".safetensors 파일이 아닙니다.")
_WRONG_LENGTH = Text(
    "The file is cut off, or longer than it says.", "파일이 잘려 있거나 헤더에 적힌 것보다 깁니다."
)
_DAMAGED_TENSOR = Text(
    "The file's header is damaged: a tensor's type, shape and place differ.",
    "파일의 헤더가 손상되었습니다. 텐서의 형식, 모양, 위치가 서로 다릅니다.",
)
_DAMAGED_LAYOUT = Text(
    "The file's header is damaged: its tensors overlap or leave gaps.",
    "파일의 헤더가 손상되었습니다. 텐서가 겹치거나 사이가 비어 있습니다.",
)
