"""ONNX files that guests bring: found out, without a library, whether they refer to others.

The wire format is https://protobuf.dev/programming-guides/encoding, the numbers of the fields
are those of `onnx.proto3`.
"""

from __future__ import annotations

from collections.abc import Iterator

from onecopy.errors import InvalidModel

# For each message on the way to a tensor: its fields that are messages, and which.
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "function": {7: "node", 11: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL = {13, 14}  # Of a tensor: `external_data` and `data_location`.
_DEEPEST = 100  # As far as protobuf itself follows.


def refuse_external_data(model: memoryview) -> None:
    """Look through a model for tensors whose numbers lie in other files.

    Raises:
        InvalidModel: there is one, or the model is no protobuf.
    """
    pending = [("model", model, 0)]
    while pending:
        kind, message, depth = pending.pop()
        if depth > _DEEPEST:
            raise InvalidModel(f"the model is nested more than {_DEEPEST} times")
        for number, content in _fields(message):
            if kind == "tensor" and number in _EXTERNAL and content != 0:
                raise InvalidModel("a guest's model has its weights in itself, not in other files")
            inner = _PARTS[kind].get(number)
            if inner and isinstance(content, memoryview):
                pending.append((inner, content, depth + 1))


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield each field's number, with its bytes, or its number if it is one."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire not in (1, 2, 5):
            raise InvalidModel("the model is no protobuf: a field has an unknown form")
        size, at = (8, at) if wire == 1 else (4, at) if wire == 5 else _varint(message, at)
        if size > len(message) - at:
            raise InvalidModel("the model is no protobuf: it ends within a field")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[at : at + 10]):
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    raise InvalidModel("the model is no protobuf: a number does not end")
