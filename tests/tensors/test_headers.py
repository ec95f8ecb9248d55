from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from onecopy.segments.container import METADATA, SPEC_NAME, Label
from onecopy.tensors.headers import kept_header, new_header

NAMES = st.lists(st.sampled_from(["a", "a#2", "b", SPEC_NAME, METADATA, "value"]), max_size=8)


def placed(names: list[str]) -> list[tuple[Label, int, int]]:
    return [(Label(name, "U8", (64,)), 64 * i, 64) for i, name in enumerate(names)]


def tensors(header: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(header[8:])
    return {name: info for name, info in parsed.items() if not name.startswith("__")}


@given(NAMES)
def test_every_block_has_a_name_of_its_own_and_none_that_is_reserved(names: list[str]) -> None:
    found = tensors(new_header(placed(names), [], 10, 64))
    assert len(found) == len(names)
    offsets = sorted(each["data_offsets"] for each in found.values())
    assert offsets == [[64 * i, 64 * i + 64] for i in range(len(names))]


def test_empty_tensors_are_found_by_plain_readers() -> None:
    found = tensors(new_header(placed(["a"]), [Label("none", "F32", (0, 3))], 10, 64))
    assert found["none"] == {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]}


def test_a_name_that_comes_twice_is_counted() -> None:
    assert list(tensors(new_header(placed(["a", "a", "a"]), [], 10, 64))) == ["a", "a#2", "a#3"]


@given(NAMES, st.integers(1, 100), st.sampled_from([64, 4096]))
def test_what_is_kept_is_what_would_be_made(names: list[str], spec: int, align: int) -> None:
    for _ in range(2):
        assert kept_header(placed(names), [], spec, align) == new_header(
            placed(names), [], spec, align
        )
