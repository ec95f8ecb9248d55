"""The control page: how a call and its result look in the guest's memory.

The layout is that of `struct oc_control` in sdk/onecopy.h; docs/guest-abi.md has the fields.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ABI: Final = 1
NBYTES: Final = 4096
MAX_RANK: Final = 6
MAX_WINDOWS: Final = 24
INLINE_TOKENS: Final = 192
NAME_NBYTES: Final = 39

MAGIC: Final = int.from_bytes(b"OCG1", "little")
DTYPES: Final = (
    *("F32", "F64", "F16", "BF16", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"),
    *("BOOL", "F8_E4M3", "F8_E5M2", "BYTES"),
)
"""Element types by their number on the page; the names are those of safetensors."""

WRITABLE: Final = 1
COPIED: Final = 2

NONE, MASK, SPLICE, FORK, STOP, CHOOSE = range(6)
"""Kinds of results."""

_HEADER: Final = struct.Struct("<4I")
_SETTING: Final = struct.Struct("<2I")
_STEP: Final = struct.Struct("<3I28x64s")
_ONE_TOKEN: Final = struct.Struct("<3I28x64sI")
_RESULT: Final = struct.Struct("<9I")
_WINDOW: Final = struct.Struct("<40s6I6I6I16x")
_SETTING_AT: Final = 16
_STEP_AT: Final = 24
_RESULT_AT: Final = 64
_TOKENS_AT: Final = 128
_WINDOWS_AT: Final = 1024
_NO_RESULT: Final = bytes(64)


class Result(NamedTuple):
    """What a controller asked for; the words of `struct oc_result`, unchecked."""

    kind: int
    mask: int
    biases: int
    bias_count: int
    backtrack: int
    tokens: int
    token_count: int
    branches: int
    token: int


class Described(NamedTuple):
    """What the guest is told of one window: sizes in bytes, shape and strides in elements."""

    name: str
    address: int
    flags: int
    nbytes: int
    dtype: str
    generation: int
    shape: Sequence[int]
    strides: Sequence[int]


class ControlPage:
    """Writes and reads the page through a view of the guest's memory."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self.generation = 0
        """Counts the changes of the table of windows."""

    def take_layout(self, other: ControlPage, windows: Sequence[Described]) -> None:
        """Describe the windows under the number that the other page has."""
        self.generation = other.generation - 1
        self.describe(windows)

    def describe(self, windows: Sequence[Described]) -> None:
        """Write the table of windows; at most `MAX_WINDOWS`."""
        self.generation += 1
        for i, each in enumerate(windows):
            _WINDOW.pack_into(
                self._view,
                _WINDOWS_AT + i * _WINDOW.size,
                each.name.encode(),
                *(each.address, each.flags, each.nbytes, DTYPES.index(each.dtype)),
                *(len(each.shape), each.generation),
                *each.shape,
                *[0] * (MAX_RANK - len(each.shape)),
                *each.strides,
                *[0] * (MAX_RANK - len(each.strides)),
            )
        _HEADER.pack_into(self._view, 0, MAGIC, ABI, self.generation, len(windows))

    def set_vocabulary(self, count: int, eos: int) -> None:
        """Tell how many tokens there are and which one ends a sequence."""
        _SETTING.pack_into(self._view, _SETTING_AT, count, eos)

    def begin(self, step: int, branch: int, tokens: Sequence[int]) -> None:
        """Write what the next call is about, and clear the result of the last one."""
        count = len(tokens)
        if count == 1:
            _ONE_TOKEN.pack_into(self._view, _STEP_AT, step, branch, 1, _NO_RESULT, tokens[0])
            return
        _STEP.pack_into(self._view, _STEP_AT, step, branch, count, _NO_RESULT)
        inline = min(count, INLINE_TOKENS)
        struct.pack_into(f"<{inline}I", self._view, _TOKENS_AT, *tokens[:inline])

    def result(self) -> Result:
        """Read the result, once: what is checked later is this copy."""
        return Result._make(self.words())

    def words(self) -> tuple[int, ...]:
        """Read the result as plain words, where the name of each is not worth its time."""
        return _RESULT.unpack_from(self._view, _RESULT_AT)
