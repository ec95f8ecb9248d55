"""The pickles within a guest's TorchScript, read without effect before torch's own reader is.

That reader is written in C++ and makes no objects of Python, but it trusts what it reads: a
tensor may be said to reach beyond its bytes. So each is read here first, by Python's reader with
a handful of inert names in place of everything else.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from onecopy.errors import InvalidModel

# What torch.jit.save writes; others mean something else to one of the two readers, or nothing.
_OPCODES = frozenset(
    [
        *("PROTO", "STOP", "MARK", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "NONE", "NEWTRUE", "NEWFALSE", "BINUNICODE"),
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINPERSID", "REDUCE", "NEWOBJ"),
        "BUILD",
    ]
)
_BYTES = {
    1: ("BoolStorage", "ByteStorage", "CharStorage"),
    2: ("ShortStorage", "HalfStorage", "BFloat16Storage"),
    4: ("IntStorage", "FloatStorage"),
    8: ("LongStorage", "DoubleStorage", "ComplexFloatStorage"),
    16: ("ComplexDoubleStorage",),
}
_SIZES = {name: nbytes for nbytes, names in _BYTES.items() for name in names}


def check(content: bytes, nbytes_of: Callable[[str], int]) -> None:
    """Read a pickle; `nbytes_of` returns how many bytes the archive has for a storage's key.

    Raises:
        InvalidModel: it names what TorchScript does not have, or a tensor exceeds its bytes.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in _OPCODES:
            raise InvalidModel(f"the opcode {opcode.name} in a pickle of TorchScript")
        # Both readers would make a table of that length.
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > len(content):
            raise InvalidModel("a pickle of TorchScript remembers more than it has")
    _Reader(content, nbytes_of).load()


class _Object:
    """An object of TorchScript, of any class of its own."""

    def __setstate__(self, state: object) -> None:
        """Forget it: its parts have been looked at."""


class _Reader(pickle.Unpickler):
    def __init__(self, content: bytes, nbytes_of: Callable[[str], int]) -> None:
        super().__init__(io.BytesIO(content))
        self._nbytes_of = nbytes_of

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            if ".torch.classes" in f"{module}.{name}":
                raise InvalidModel(f"{module}.{name} is written in C++")
            return _Object
        if module == "torch" and name in _SIZES:
            return name
        known = _KNOWN.get(f"{module}.{name}")
        if known is None:
            raise InvalidModel(f"{module}.{name} in a pickle of a guest's TorchScript")
        return known

    def persistent_load(self, pid: Any) -> int:
        """Return how many elements a storage has, once its bytes are known to be there."""
        _, kind, key, _, count, *_ = pid  # Older files have a sixth.
        nbytes = _natural(count) * _SIZES[kind]
        if nbytes > self._nbytes_of(key):
            raise InvalidModel(f"the tensor data {key!r} are less than the model says")
        return _natural(count)


def _tensor(storage: int, offset: int, size: Any, stride: Any, *_: object) -> None:
    if len(size) != len(stride):
        raise InvalidModel("a tensor has not as many strides as dimensions")
    if 0 in [_natural(each) for each in size]:
        return
    steps = zip(size, stride, strict=True)
    last = _natural(offset) + sum((each - 1) * _natural(step) for each, step in steps)
    if last >= storage:
        raise InvalidModel("a tensor of the model reaches beyond its data")


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise InvalidModel(f"{value!r} as a size in a pickle of TorchScript")
    return value


def _inert(*_: object) -> None:
    """Any of the functions that torch's reader knows; none is called there, nor here."""


_KNOWN: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.device": _inert,
} | {
    f"torch.jit._pickle.{name}": _inert
    for name in (
        *("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist"),
        "restore_type_tag",
    )
}
