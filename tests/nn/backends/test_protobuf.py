"""The search for other files in ONNX models reads any bytes, and misses nothing that is there."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onecopy
from onecopy.nn.backends import protobuf


@given(st.binary(max_size=200))
def test_any_bytes_are_read_to_the_end_or_refused(content: bytes):
    try:
        protobuf.refuse_external_data(memoryview(content))
    except onecopy.InvalidModel:
        pass


@given(st.binary(max_size=60))
def test_what_it_lets_pass_has_no_external_data_for_onnx_either(content: bytes):
    framed = b"\x3a" + bytes([len(content) + 2]) + b"\x2a" + bytes([len(content)]) + content
    model = onnx.ModelProto()
    try:
        model.ParseFromString(framed)
        protobuf.refuse_external_data(memoryview(framed))
    except (onecopy.InvalidModel, Exception):
        return
    for tensor in model.graph.initializer:
        assert tensor.data_location == 0
        assert not tensor.external_data


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):  # A graph in an attribute of a node of a graph.
        for key in (b"\x32", b"\x2a", b"\x0a"):
            content = key + _varint(len(content)) + content
    return b"\x3a" + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def test_deep_nesting_is_refused():
    protobuf.refuse_external_data(memoryview(_nested(20)))
    with pytest.raises(onecopy.InvalidModel, match="nested"):
        protobuf.refuse_external_data(memoryview(_nested(200)))


@pytest.mark.parametrize(
    "content", [b"\x3a\xff\xff", b"\x3a\x05ab", b"\x3b", b"\xff" * 20, b"\x3d"]
)
def test_fields_that_do_not_end_are_refused(content: bytes):
    with pytest.raises(onecopy.InvalidModel, match="no protobuf"):
        protobuf.refuse_external_data(memoryview(content))
