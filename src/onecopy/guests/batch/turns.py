"""A step's rows in C: what native/turns.c is told of guests, and how their calls are told apart.

It calls guests one after another and deals with plain masks itself. Without the C library,
caller.py does the same in Python.
"""

from __future__ import annotations

import ctypes
import struct
from array import array
from typing import TYPE_CHECKING, Final

from onecopy.guests.batch.rows import MAX_BATCH, spelled
from onecopy.guests.batch.steps import TOKENS
from onecopy.guests.wasm.raw import entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.batch.rows import Rows
    from onecopy.guests.batch.steps import Board
    from onecopy.guests.decoding.controller import Controller
    from onecopy.guests.workers.progress import Progress
    from onecopy.native import Library

_POINTER: Final = ctypes.c_void_p


class _Turn(ctypes.Structure):
    """`struct turn` of native/turns.c."""

    _fields_ = (
        *[(name, _POINTER) for name in ("context", "function", "cells")],
        ("count", ctypes.c_size_t),
        *[(name, _POINTER) for name in ("trap", "base", "page")],
        ("inside", ctypes.c_uint64),
        *[(name, _POINTER) for name in ("row", "biases", "line")],
        ("culprit", ctypes.c_uint64),
        ("number", ctypes.c_uint32),
        *[(name, ctypes.c_uint32) for name in ("step", "branch", "appended")],
        ("tokens", _POINTER),
    )


class _Round(ctypes.Structure):
    """`struct round` of native/turns.c."""

    _fields_ = (
        ("call", _POINTER),
        ("set_deadline", _POINTER),
        ("epochs", ctypes.c_uint64),
        *[(name, _POINTER) for name in ("progress", "slot", "spelled")],
        ("vocabulary", ctypes.c_uint64),
        ("error", _POINTER),
        ("step", ctypes.c_uint32),
        ("most", ctypes.c_uint64),
        ("last", ctypes.c_uint64),
    )


_TOLD: Final = struct.Struct("=3IQ")
_TOLD_AT: Final = _Turn.step.offset
assert _Turn.tokens.offset == _TOLD_AT + _TOLD.size - 8


class Turn:
    """One sequence's guest, as C calls it; its controller outlives it."""

    __slots__ = ("_fields", "_line", "_told", "address")

    def __init__(self, controller: Controller, row: int, culprit: int, turns: Turns) -> None:
        instance = controller.instance
        memory = instance.memory
        context, function, cells, count, trap = controller.mid_process.pointers
        line = turns.line_at(row)
        self._line = line + 4 * TOKENS
        self._fields = _Turn(
            *(context, function, cells, count, trap),
            *(memory.base, memory.base + instance.control_at, memory.nbytes),
            *turns.row_at(row),
            *(line, culprit, row + 1),
        )
        self._told = array("I")
        self.address = ctypes.addressof(self._fields)

    def tell(self, step: int, branch: int, told: Sequence[int], appended: int) -> None:
        """Set what the next call is about; `told` begins with more than the line's `appended`
        tokens if a rollback left some."""
        at = self._line
        if len(told) != appended:
            self._told = array("I", told)
            at = self._told.buffer_info()[0]
        _TOLD.pack_into(self._fields, _TOLD_AT, step, branch, len(told), at)

    def grow(self, controller: Controller) -> None:
        """Note how much memory the guest has by now."""
        self._fields.inside = controller.instance.memory.nbytes


class Turns:
    """The rows of one worker and batch; `seconds` is what a guest may take."""

    def __init__(
        self,
        library: Library,
        *,
        rows: Rows,
        board: Board,
        slot: int,
        progress: Progress,
        epochs: int,
        most: int,
    ) -> None:
        self._rows = rows
        self._board = ctypes.addressof(ctypes.c_char.from_buffer(board.words))
        self._line_of = board.line
        self._run = library.slow.onecopy_turns
        self._spelled = spelled()
        self._round = _Round(
            call=entry("wasmtime_func_call_unchecked"),
            set_deadline=entry("wasmtime_context_set_epoch_deadline"),
            epochs=epochs,
            progress=progress.address,
            slot=self._board + 4 * slot,
            spelled=self._spelled.ctypes.data,
            vocabulary=rows.vocab,
            most=most,
        )
        self._order = (_POINTER * MAX_BATCH)()
        self._at = ctypes.addressof(self._order)
        self._pointer = ctypes.addressof(self._round)

    def line_at(self, row: int) -> int:
        """Return the address of a row's line."""
        return self._board + 4 * self._line_of(row)

    def row_at(self, row: int) -> tuple[int, int]:
        """Return the addresses of a row's mask and of its biases, 0 without them."""
        return self._rows.mask_at(row), self._rows.biases_at(row) if self._rows.bias_stride else 0

    @property
    def last(self) -> int:
        """Return the nanoseconds that the last call took."""
        return int(self._round.last)

    def run(self, turns: list[int | ctypes.c_void_p | None], step: int) -> int:
        """Call guests until one wants Python's attention; return how many did not.

        `turns` are addresses. That one was called, and `error` is what wasmtime returned; those
        before it are answered.
        """
        self._round.step = step
        self._order[: len(turns)] = turns
        plain: int = self._run(self._pointer, self._at, len(turns))
        return plain

    @property
    def error(self) -> int | None:
        """What wasmtime returned from the last call."""
        value: int | None = self._round.error
        return value
