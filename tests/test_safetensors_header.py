import json
import struct

import pytest
import torch

from safelight.errors import InvalidLora
from safelight.loras.safetensors_header import (
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    TensorInfo,
    header_length,
    parse_header,
    read_header,
)
from tests.lora_files import raw, save

ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def entry(begin, end, dtype="F32", shape=None):
    return {"dtype": dtype, "shape": shape or [(end - begin) // 4], "data_offsets": [begin, end]}


def test_a_real_file_is_read(tmp_path):
    path = save(tmp_path / "a.safetensors", {"x": torch.zeros(2, 3), "y": torch.zeros(1)}, {"base": "me"})
    header = read_header(path)
    assert header.tensors == {"x": TensorInfo("F32", (2, 3)), "y": TensorInfo("F32", (1,))}
    assert header.metadata == {"base": "me"}
    assert header.size_bytes == path.stat().st_size


@pytest.mark.parametrize("length", [0, 1, MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_a_length_that_cannot_be_is_refused_before_anything_is_read(length):
    with pytest.raises(InvalidLora):
        header_length(struct.pack("<Q", length))


def test_too_few_bytes_are_no_length():
    with pytest.raises(InvalidLora):
        header_length(b"\2\0\0")


@pytest.mark.parametrize(
    "content",
    [
        b"not json at all",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[]",
        b"{}",
        {"__metadata__": {}},
        {"a": None},
        {"a": {"dtype": "F32"}},
        {"a": entry(0, 8, dtype="F33")},
        {"a": entry(0, 8, shape=[3])},
        {"a": entry(0, 8, shape=[2**40, 2**40])},
        {"a": entry(0, 8, shape=[-2])},
        {"a": entry(0, 8, shape=[True, 2])},
        {"a": entry(0, 8, shape="ab")},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 16]}},
        {"a": entry(0, 8), "b": entry(4, 12)},
        {"a": entry(0, 8), "b": entry(12, 20)},
        {"a": entry(4, 12)},
        {str(n): entry(0, 0, shape=[0]) for n in range(MAX_TENSORS + 1)},
    ],
)
def test_what_no_honest_file_holds_is_refused(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(InvalidLora):
        parse_header(text)


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 9])
def test_a_file_that_is_cut_off_or_too_long_is_refused(tmp_path, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw(ONE, data))
    with pytest.raises(InvalidLora):
        read_header(path)
    path.write_bytes(raw(ONE, b"\0" * 8))
    assert read_header(path).size_bytes == path.stat().st_size


def test_a_pickle_under_the_right_name_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(InvalidLora):
        read_header(path)
