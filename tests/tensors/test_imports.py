from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from onecopy.segments.mapping import map_fd
from onecopy.tensors import spec as specs
from onecopy.tensors.imports import examine
from onecopy.tensors.values import unpack
from tests.processes import output_of
from tests.tensors.test_checkpoint import DTYPES, entry_file, write


def value_of(path: Path) -> Any:
    """What an entry of that file would load as."""
    fd = os.open(path, os.O_RDONLY)
    facts = examine(fd, path.stat().st_size)
    layout = specs.decode(facts.spec, facts.data_end - facts.data_start)
    value = unpack(map_fd(fd, facts.data_end), facts.data_start, layout, "private")
    os.close(fd)
    return value


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_found_where_safetensors_put_it(dtype: torch.dtype, tmp_path: Path) -> None:
    bits = torch.randint(0, 2, (3, 4, 16), dtype=torch.uint8)
    save_file({"x": bits.view(dtype), "scalar": torch.tensor(1.5)}, tmp_path / "x")
    value = value_of(tmp_path / "x")
    assert value["x"].dtype == dtype
    assert torch.equal(value["x"].view(torch.uint8), bits)
    assert value["scalar"].item() == 1.5


def test_four_bit_floats_are_packed_in_pairs(tmp_path: Path) -> None:
    info = {"dtype": "F4", "shape": [2, 4], "data_offsets": [0, 4]}
    assert value_of(write(tmp_path / "x", {"x": info}, bytes(4)))["x"].shape == (2, 2)


def test_padding_that_onecopy_wrote_is_left_out_and_its_spec_is_used(tmp_path: Path) -> None:
    tied = torch.arange(4.0)
    value = value_of(entry_file(tmp_path / "x", {"a": tied, "b": tied[1:], "n": 3}))
    value["a"][1] = 7
    assert (value["b"][0], value["n"]) == (7, 3)


def test_it_knows_what_has_to_be_copied(tmp_path: Path) -> None:
    info = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    seen = set()
    for padding in range(8):
        path = write(tmp_path / "x", {"x": info, "__metadata__": {"p": "p" * padding}}, bytes(8))
        fd = os.open(path, os.O_RDONLY)
        facts = examine(fd, path.stat().st_size)
        assert facts.aligned == (facts.data_start % 4 == 0)
        seen.add(facts.aligned)
        os.close(fd)
    assert seen == {True, False}


def test_torch_is_not_needed(tmp_path: Path) -> None:
    save_file({"x": torch.ones(3)}, tmp_path / "x")
    code = """
        import os, sys
        from onecopy.tensors.imports import examine
        fd = os.open(sys.argv[1], os.O_RDONLY)
        print(sorted(examine(fd, os.fstat(fd).st_size).keys), "torch" in sys.modules)
    """
    assert output_of(code, tmp_path / "x") == "['x'] False"
