from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load

from onecopy.errors import CorruptEntry
from onecopy.segments import container
from onecopy.segments.container import Label


def built(sizes: list[int], leads: list[int], align: int, spec: bytes = b"spec") -> bytes:
    labels = [Label(f"t{i}", "U8", (size,)) for i, size in enumerate(sizes)]
    offsets, end = container.place(sizes, leads, align)
    header = container.build_header(zip(labels, offsets, sizes, strict=True), len(spec), align)
    blocks = [memoryview(bytes([i % 256]) * size) for i, size in enumerate(sizes)]
    gap = bytes(container.spec_start(end, align) - end)
    return b"".join(map(bytes, container.fill(header, blocks, offsets))) + gap + spec


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 15)), max_size=8),
    st.sampled_from([64, 4096]),
)
def test_safetensors_reads_what_we_write(blocks, align: int) -> None:
    sizes, leads = [b[0] for b in blocks], [b[1] for b in blocks]
    data = built(sizes, leads, align)
    tensors = load(data)
    for i, size in enumerate(sizes):
        assert tensors[f"t{i}"].tolist() == [i % 256] * size
    assert bytes(tensors[container.SPEC_NAME]) == b"spec"


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 15)), max_size=8),
    st.sampled_from([64, 4096]),
)
def test_blocks_are_aligned_and_the_header_says_where_they_are(blocks, align: int) -> None:
    sizes, leads = [b[0] for b in blocks], [b[1] for b in blocks]
    data = built(sizes, leads, align)
    header = container.parse_header(memoryview(data))
    assert header.data_start % align == 0
    for i, (size, lead) in enumerate(blocks):
        start, end = header.tensors[f"t{i}"].data_offsets
        assert start % align == lead
        assert data[header.data_start + start : header.data_start + end] == bytes([i]) * size


def test_a_spec_has_pages_of_its_own_if_the_blocks_do() -> None:
    header = container.parse_header(memoryview(built([5000, 1], [0, 0], 4096)))
    assert header.tensors[container.SPEC_NAME].data_offsets[0] == 3 * 4096


def file_of(fields: object, data: bytes = b"", length: int | None = None) -> memoryview:
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    size = len(text) if length is None else length
    return memoryview(size.to_bytes(8, "little") + text + data)


def tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HOSTILE = {
    "nothing": memoryview(b""),
    "a short length": memoryview(b"\1\2\3"),
    "a header longer than the file": file_of({}, length=1000),
    "a header of 2**64-1": memoryview(b"\xff" * 20),
    "no JSON": file_of(b"{nonsense"),
    "a list": file_of([1, 2]),
    "no UTF-8": file_of(b'{"\xff": 1}'),
    "a field that is no tensor": file_of({"a": 5}),
    "a hole": file_of({"a": tensor("U8", [2], 1, 3)}, b"xyz"),
    "an overlap": file_of({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, b"xyz"),
    "an end behind the file": file_of({"a": tensor("U8", [9], 0, 9)}, b"xyz"),
    "bytes behind the last tensor": file_of({"a": tensor("U8", [2], 0, 2)}, b"xyz"),
    "a size that contradicts the shape": file_of({"a": tensor("F32", [2], 0, 4)}, b"wxyz"),
    "a negative shape": file_of({"a": tensor("U8", [-1, -4], 0, 4)}, b"wxyz"),
    "an unknown dtype": file_of({"a": tensor("F99", [4], 0, 4)}, b"wxyz"),
    "offsets in reverse": file_of({"a": tensor("U8", [4], 4, 0)}, b"wxyz"),
    "metadata that is no text": file_of({"__metadata__": {"a": 1}}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_corrupt(data: memoryview) -> None:
    with pytest.raises(CorruptEntry):
        container.parse_header(data)
    with pytest.raises(SafetensorError):
        load(bytes(data))


@given(st.binary(max_size=200))
def test_random_bytes_are_parsed_or_corrupt(data: bytes) -> None:
    try:
        container.parse_header(memoryview(data))
    except CorruptEntry:
        pass
