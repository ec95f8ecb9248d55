"""safetensors files as values."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from onecopy import CorruptEntry, InvalidArgument, UnsupportedValue
from onecopy.tensors.checkpoint import open_safetensors, open_value
from onecopy.tensors.values import Packed
from tests.conftest import open_files

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int16,
    torch.uint32,
    torch.int32,
    torch.uint64,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]


def write(path: Path, fields: dict[str, object], data: bytes = b"") -> Path:
    """Write a safetensors file with any header."""
    header = json.dumps(fields).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def entry_file(path: Path, value: object) -> Path:
    """Write what an entry of that value is."""
    packed = Packed(value, 64)
    with path.open("wb") as file:
        packed.write(file.fileno())
    return path


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_comes_back_as_safetensors_wrote_it(dtype: torch.dtype, tmp_path: Path) -> None:
    bits = torch.randint(0, 2, (3, 4, 16), dtype=torch.uint8)
    tensor = bits.view(dtype)
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    loaded = open_safetensors(tmp_path / "x.safetensors")["x"]
    assert loaded.dtype == dtype
    assert loaded.shape == tensor.shape
    assert torch.equal(loaded.view(torch.uint8), bits)


def test_scalars_and_empty_tensors_keep_their_shape(tmp_path: Path) -> None:
    save_file({"scalar": torch.tensor(3.0), "empty": torch.empty(0, 3)}, tmp_path / "x")
    loaded = open_safetensors(tmp_path / "x")
    assert loaded["scalar"].shape == ()
    assert loaded["scalar"].item() == 3
    assert loaded["empty"].shape == (0, 3)


def test_a_file_without_tensors_is_an_empty_dict(tmp_path: Path) -> None:
    assert open_safetensors(write(tmp_path / "x", {})) == {}


def test_writing_to_a_tensor_does_not_reach_the_file(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(4)}, tmp_path / "x")
    before = (tmp_path / "x").read_bytes()
    open_safetensors(tmp_path / "x")["x"].fill_(7)
    assert (tmp_path / "x").read_bytes() == before


def test_tensors_outlive_the_file_and_each_other(tmp_path: Path) -> None:
    save_file({"x": torch.ones(4), "y": torch.ones(4)}, tmp_path / "x")
    x = open_safetensors(tmp_path / "x")["x"]
    (tmp_path / "x").unlink()
    assert x.tolist() == [1, 1, 1, 1]


def test_no_descriptor_is_kept(tmp_path: Path) -> None:
    save_file({"x": torch.ones(4)}, tmp_path / "x")
    before = open_files()
    kept = open_safetensors(tmp_path / "x")
    assert open_files() == before
    del kept


def test_four_bit_floats_are_packed_in_pairs(tmp_path: Path) -> None:
    info = {"dtype": "F4", "shape": [2, 4], "data_offsets": [0, 4]}
    tensor = open_safetensors(write(tmp_path / "x", {"x": info}, bytes(range(4))))["x"]
    assert tensor.shape == (2, 2)
    assert tensor.view(torch.uint8).flatten().tolist() == [0, 1, 2, 3]


def test_an_unpadded_header_still_gives_the_right_numbers(tmp_path: Path) -> None:
    info = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for padding in range(8):
        data = torch.tensor([1.5, -2.0]).numpy().tobytes()
        path = write(tmp_path / "x", {"x": info, "__metadata__": {"p": "p" * padding}}, data)
        assert open_safetensors(path)["x"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        b"\xff" * 64,
        (100).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{}trailing",
    ],
    ids=["empty", "short", "huge length", "cut header", "no object", "trailing bytes"],
)
def test_what_is_no_safetensors_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptEntry, match=r"bad\.safetensors"):
        open_safetensors(path)


@pytest.mark.parametrize(
    "info",
    [
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "NONE", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": "F4", "shape": [2, 2, 2, 2, 1], "data_offsets": [0, 8]},
    ],
    ids=["too large", "hole", "negative offset", "negative shape", "no dtype", "odd"],
)
def test_a_header_that_lies_is_refused(info: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(CorruptEntry):
        open_safetensors(write(tmp_path / "x", {"x": info}, bytes(8)))


def test_a_shape_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    info = {"dtype": "F32", "shape": [0, 2**63, 2**63], "data_offsets": [0, 0]}
    with pytest.raises(CorruptEntry, match="shape"):
        open_safetensors(write(tmp_path / "x", {"x": info}))


def test_a_dtype_that_torch_lacks_is_named(tmp_path: Path) -> None:
    info = {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}
    with pytest.raises(UnsupportedValue, match="F6_E2M3"):
        open_safetensors(write(tmp_path / "x", {"x": info}, bytes(3)))


def test_a_missing_file_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_safetensors(tmp_path / "none")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InvalidArgument, match="fifo"):
        open_safetensors(tmp_path / "fifo")


def test_padding_that_onecopy_wrote_is_left_out(tmp_path: Path) -> None:
    path = entry_file(tmp_path / "x", {"a": torch.ones(3), "b": torch.zeros(5)})
    assert list(open_safetensors(path)) == ["a", "b"]


def test_an_entry_is_rebuilt_from_its_file_as_it_was_saved(tmp_path: Path) -> None:
    tied = torch.ones(3)
    path = entry_file(tmp_path / "x", {"list": [tied, tied[1:]], "text": "t", "buffer": b"abc"})
    value = open_value(path)
    assert (value["text"], bytes(value["buffer"])) == ("t", b"abc")
    value["list"][0][1] = 5
    assert value["list"][1].tolist() == [5, 1]


def test_a_foreign_file_gives_its_tensors_as_a_value(tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "x", metadata={"format": "pt"})
    assert open_value(tmp_path / "x")["x"].tolist() == [1, 1]


def test_an_entry_with_a_damaged_spec_is_refused_by_name(tmp_path: Path) -> None:
    path = entry_file(tmp_path / "x.safetensors", torch.ones(100))
    content = bytearray(path.read_bytes())
    content[-5:] = b"\xff" * 5
    path.write_bytes(content)
    with pytest.raises(CorruptEntry, match=r"x\.safetensors"):
        open_value(path)
