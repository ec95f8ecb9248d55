"""Nested values: dicts, lists and tuples of leaves, with plain scalars beside them.

A tree is encoded as plain msgpack values. A scalar stands for itself; everything else is
an array whose first item says what it is:

    [0, codec, meta, parts]    a leaf; parts is a flat list: block, offset, block, offset, …
    [1, item, …]               list
    [2, item, …]               tuple
    [3, key, value, …]         dict
    [4, key, value, …]         OrderedDict
    [5, "digits"]              an int that does not fit 64 bits
    [6, codec, meta, part, …]  a branch: a value that its codec makes of parts
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import CorruptEntry, OnecopyError, UnsupportedValue
from onecopy.tensors import codec as codecs
from onecopy.tensors.codec import Branch

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.tensors.codec import Leaf, Segment

LEAF: Final = 0
LIST: Final = 1
_TUPLE: Final = 2
DICT: Final = 3
_ORDERED: Final = 4
_BIG_INT: Final = 5
BRANCH: Final = 6

# Deeper than any sensible value, and shallow enough for every recursion on the way.
_DEPTH_LIMIT: Final = 100

_SEQUENCES: Final[dict[type, int]] = {list: LIST, tuple: _TUPLE}
_MAPPINGS: Final[dict[type, int]] = {dict: DICT, OrderedDict: _ORDERED}
_SCALARS: Final = frozenset({type(None), bool, float, str})


def encode(value: Any, place: Callable[[str, str, Leaf], list[Any]], path: str = "") -> Any:
    """Turn `value` into its encoded tree; `place(path, codec name, leaf)` encodes each leaf.

    Raises `UnsupportedValue`, naming the path, for what cannot be stored.
    """
    return _encode(value, place, path, 0)


def only_leaf(value: Any) -> tuple[str, Leaf | Branch] | None:
    """Return what a codec makes of `value`, and its name; None for a container or a scalar."""
    kind = type(value)
    if kind in _SCALARS or kind is int or kind in _SEQUENCES or kind in _MAPPINGS:
        return None
    return _leaf(value, "")


def encode_leaf(
    codec: str, leaf: Leaf | Branch, place: Callable[[str, str, Leaf], list[Any]]
) -> list[Any]:
    """Return the encoded tree of what `only_leaf` returned."""
    return _place(codec, leaf, place, "", 0)


def _encode(value: Any, place: Callable[[str, str, Leaf], list[Any]], path: str, depth: int) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else [_BIG_INT, str(value)]
    if depth > _DEPTH_LIMIT:
        raise UnsupportedValue(
            f"{_at(path)} is nested more than {_DEPTH_LIMIT} deep (does it contain itself?)"
        )
    if kind in _SEQUENCES:
        items = enumerate(value)
        return [_SEQUENCES[kind], *(_encode(v, place, _join(path, i), depth + 1) for i, v in items)]
    if kind in _MAPPINGS:
        return [_MAPPINGS[kind], *_encode_items(value, place, path, depth)]
    return _place(*_leaf(value, path), place, path, depth)


def _encode_items(
    value: dict[Any, Any], place: Callable[[str, str, Leaf], list[Any]], path: str, depth: int
) -> list[Any]:
    items: list[Any] = []
    for key, item in value.items():
        if type(key) not in _SCALARS and type(key) is not int:
            raise UnsupportedValue(
                f"{_at(path)} has the key {key!r} of type {type(key).__name__}; keys must be "
                "str, int, float, bool or None"
            )
        items.append(key if type(key) is str else _encode(key, place, path, depth + 1))
        items.append(_encode(item, place, _join(path, key), depth + 1))
    return items


def _leaf(value: Any, path: str) -> tuple[str, Leaf | Branch]:
    codec = codecs.for_type(type(value))
    try:
        return codec.name, codec.encode(value)
    except UnsupportedValue as error:
        raise UnsupportedValue(f"{_at(path)}: {error}") from error


def _place(
    codec: str,
    leaf: Leaf | Branch,
    place: Callable[[str, str, Leaf], list[Any]],
    path: str,
    depth: int,
) -> list[Any]:
    if isinstance(leaf, Branch):
        parts = [_encode(part, place, _join(path, k), depth + 1) for k, part in leaf.parts]
        return [BRANCH, codec, leaf.meta, *parts]
    return place(path, codec, leaf)


def _at(path: str) -> str:
    return f"the value at {path!r}" if path else "the value"


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def decode(node: Any, segment: Segment) -> Any:
    """Rebuild the value of an encoded tree over a mapped segment.

    Raises `CorruptEntry` for a tree that onecopy cannot have written.
    """
    try:
        return _decode(node, segment)
    except OnecopyError:
        raise
    except Exception as e:  # Of a codec anything may come, given a hostile meta.
        raise CorruptEntry(f"the entry's spec contradicts its bytes: {e}") from e


def _decode(node: Any, segment: Segment) -> Any:
    if type(node) is not list:
        return node
    kind = node[0]
    if kind == LEAF:
        _, name, meta, places = node
        return codecs.find(name).decode(meta, places, segment)
    if kind in (DICT, _ORDERED):
        keys = [_decode(key, segment) if type(key) is list else key for key in node[1::2]]
        values = [_decode(item, segment) for item in node[2::2]]
        items = zip(keys, values, strict=True)
        return dict(items) if kind == DICT else OrderedDict(items)
    if kind == LIST:
        return [_decode(item, segment) for item in node[1:]]
    if kind == _TUPLE:
        return tuple(_decode(item, segment) for item in node[1:])
    if kind == _BIG_INT:
        return int(node[1])
    if kind == BRANCH:
        # Only a codec that makes branches has `assemble`: for others this raises.
        assemble: Any = codecs.find(node[1]).assemble  # type: ignore[attr-defined]
        return assemble(node[2], [_decode(part, segment) for part in node[3:]])
    raise CorruptEntry(f"the entry's spec has a node of unknown kind {kind!r}")
