from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export import Dim

from onecopy.errors import CorruptEntry, OnecopyError, WeightsMismatch
from onecopy.planner import Plan, plan
from tests.planner.analysis.modules import Cached, Doubled, Pair
from tests.prepared import output_of


@pytest.fixture(scope="module")
def made() -> Any:
    n = Dim("n", max=32)
    shapes = {"x": {0: n}, "cache": {0: Dim("s", min=32, max=64)}}
    return plan(Cached(), (torch.rand(4, 8), torch.rand(40, 8)), dynamic_shapes=shapes)


def test_a_loaded_plan_is_the_same_plan(made: Any, tmp_path: Path) -> None:
    made.save(tmp_path / "p.plan")
    loaded = Plan.load(tmp_path / "p.plan", Cached())
    assert loaded.dims == made.dims
    assert loaded.buffers == made.buffers
    assert loaded.bytes == made.bytes
    assert loaded.problem(n=3).buffers == made.problem(n=3).buffers
    for one, other in zip(loaded.inputs_at(n=9)[0], made.inputs_at(n=9)[0], strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride()


def test_loading_does_not_export(made: Any, tmp_path: Path) -> None:
    made.save(tmp_path / "p.plan")
    code = (
        "import sys; from onecopy.planner import Plan; p = Plan.load(sys.argv[1]); "
        "print(p.nbytes(n=3, s=40), 'onecopy.planner.analysis.export' in sys.modules)"
    )
    assert output_of(code, tmp_path / "p.plan").split() == [str(made.nbytes(n=3, s=40)), "False"]


def test_a_module_with_other_weights_is_refused(made: Any, tmp_path: Path) -> None:
    made.save(tmp_path / "p.plan")
    with pytest.raises(WeightsMismatch, match="Cached with other weights than this Pair"):
        Plan.load(tmp_path / "p.plan", Pair())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": "other", "version": 1}',
        b'{"format": "onecopy.plan", "version": 99}',
        b'{"format": "onecopy.plan", "version": 1}',
    ],
)
def test_a_foreign_file_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.plan").write_bytes(data)
    with pytest.raises(CorruptEntry):
        Plan.load(tmp_path / "p.plan")


def test_a_damaged_file_is_refused_or_read_but_nothing_else(made: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.plan"
    made.save(path)
    whole = path.read_bytes()
    for at in range(0, len(whole), max(len(whole) // 150, 1)):
        path.write_bytes(whole[:at])
        with pytest.raises(CorruptEntry):
            Plan.load(path)
        path.write_bytes(whole[:at] + b"7" + whole[at + 1 :])
        try:
            Plan.load(path)
        except OnecopyError:
            continue


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expressions", [["exec", "n"]]),
        ("expressions", []),
        ("tree", "{}"),
        ("tree", "not json"),
        ("relations", [["==", "n", 3]]),
        ("steps", -1),
        ("steps", 0),
        ("steps", 10**12),
        ("expressions", [-5] * 20),
        ("dims", []),
        ("dims", [{"name": "n", "lower": 5, "upper": 2}]),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    key: str, value: Any, made: Any, tmp_path: Path
) -> None:
    path = tmp_path / "p.plan"
    made.save(path)
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(document | {key: value}))
    with pytest.raises(OnecopyError):
        Plan.load(path)


@pytest.mark.parametrize("key", ["dims", "buffers"])
def test_a_name_that_is_there_twice_is_refused(key: str, made: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.plan"
    made.save(path)
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(document | {key: document[key] * 2}))
    with pytest.raises(CorruptEntry, match="is there twice"):
        Plan.load(path)


def test_an_expression_that_is_nested_without_end_is_refused(made: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.plan"
    made.save(path)
    document = json.loads(path.read_bytes())
    text = json.dumps(document | {"expressions": ["@"] * len(document["expressions"])})
    for depth in (1000, 5000, 200_000):
        path.write_text(text.replace('"@"', '["+",' * depth + '"n"' + ",1]" * depth))
        with pytest.raises(CorruptEntry):
            Plan.load(path)


def test_a_recording_is_saved_so_that_the_next_process_does_not_record(tmp_path: Path) -> None:
    path = tmp_path / "p.plan"
    shapes = {"x": {0: Dim("n", max=4096)}}
    first = plan(Doubled(), (torch.ones(3),), dynamic_shapes=shapes)
    with first.bind():
        first.save(path)
    loaded = Plan.load(path, Doubled())
    assert loaded.recording == first.recording
    with loaded.bind() as run:
        assert torch.equal(run(torch.ones(50)), torch.full((50,), 2.0))
    document = json.loads(path.read_bytes()) | {"recording": {"peak": 3}}
    path.write_text(json.dumps(document))
    with pytest.raises(CorruptEntry):
        Plan.load(path)
