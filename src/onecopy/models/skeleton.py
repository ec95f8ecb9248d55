"""The skeleton of a module: plain values, that say everything about it but its weights.

It is the meta of a branch (see `onecopy.tensors.tree`), the array

    [version, transformers, classes, objects]

*transformers* is the version of that package if one of its classes occurs, else None. *classes*
are dotted paths. *objects* are all things that have an identity, each once; the first is the
module itself. *kind* is a number of a class, *n* one of an object:

    [0, kind, training, attributes, parameters, buffers, not persistent, children]   a module
    [1, part, attributes]           a tensor or an array: a part of the branch
    [2, value, …]                   list
    [3, key, value, …]              dict
    [4, key, value, …]              OrderedDict
    [5, value, …]                   set
    [6, kind, attributes]           an object with nothing but attributes, such as a config

Attributes are a flat list: name, value, name, value, …. So are parameters, buffers and children,
with n or None for a value; *not persistent* lists names of buffers.

A value is None, a bool, an int of 64 bits, a float or a str, or an array:

    [0, n]              object n
    [1, value, …]       tuple
    [2, size, …]        torch.Size
    [3, "float32"]      torch.dtype
    [4, "cpu"]          torch.device
    [5, start, stop, step]   slice
    [6, "digits"]       an int that does not fit
    [7, name]           a function of `onecopy.models.functions`
    [8, kind, name]     a member of an enumeration
    [9, n]              a weak reference to object n
    [10, value, …]      frozenset
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSION: Final = 1

MODULE: Final = 0
PART: Final = 1
LIST: Final = 2
DICT: Final = 3
ORDERED: Final = 4
SET: Final = 5
PLAIN: Final = 6

REFERENCE: Final = 0
TUPLE: Final = 1
SIZE: Final = 2
DTYPE: Final = 3
DEVICE: Final = 4
SLICE: Final = 5
BIG_INT: Final = 6
FUNCTION: Final = 7
MEMBER: Final = 8
WEAK: Final = 9
FROZEN: Final = 10

CONTAINERS: Final[dict[type, int]] = {list: LIST, dict: DICT, OrderedDict: ORDERED, set: SET}


def pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield name and value, name and value, … of a flat list."""
    return zip(flat[::2], flat[1::2], strict=True)
