"""What a guest will ask its grammar in its next call, answered before it asks.

Most controllers ask the same in each call: advance this grammar, write the mask. The worker does
that for all of its rows before it calls the first guest, and native/foresight.c hands over what is
ready: the way from Wasm into the interpreter and back, for each row, would take as long as a mask.
A guest that asks for anything else finds its grammars as it left them.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Final

from onecopy.guests.wasm import abi
from onecopy.guests.wasm.raw import Shortcut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.decoding.grammar import Grammar, Node
    from onecopy.native import Library

_NOTHING, _READY, _TAKEN = range(3)
_NONE: Final = -1


class _Fields(ctypes.Structure):
    """`struct foresight` of native/foresight.c."""

    _fields_ = (
        ("base", ctypes.c_void_p),
        ("inside", ctypes.c_uint64),
        ("mask", ctypes.c_void_p),
        ("nbytes", ctypes.c_uint64),
        ("otherwise", ctypes.c_void_p),
        ("grammar", ctypes.c_int32),
        ("status", ctypes.c_int32),
        ("state", ctypes.c_int32),
    )


_ANSWER: Final = struct.Struct("=3i")
_ANSWER_AT: Final = _Fields.grammar.offset


class Foresight:
    """Of one guest; `mask_nbytes` is what its grammars write."""

    def __init__(self, library: Library, mask_nbytes: int) -> None:
        self._fields = _Fields(nbytes=mask_nbytes, grammar=_NONE)
        self._mask = ctypes.create_string_buffer(0)
        self._mask_at = 0
        self._nbytes = mask_nbytes
        self._habit = _NONE
        self._grammar: Grammar | None = None
        self._before: Node | None = None
        self._code = library.slow.onecopy_grammar_step

    def attach(self, base: int, inside: int) -> None:
        """Learn where the guest's memory is, and how much of it there is at least."""
        self._fields.base = base
        self._fields.inside = inside

    def shortcut(self) -> Shortcut:
        """Return what is called in the place of `grammar_step`; this object outlives its guest."""
        fields = self._fields
        code = ctypes.cast(self._code, ctypes.c_void_p).value or 0

        def otherwise(callback: int) -> None:
            fields.otherwise = callback

        return Shortcut(code, ctypes.addressof(fields), otherwise)

    def learn(self, handle: int) -> None:
        """Note that the guest stepped a grammar: it will again."""
        self._habit = handle

    def look(self, grammars: dict[int, Grammar], tokens: Sequence[int]) -> None:
        """Step the grammar that the guest will want to, if it does as last time."""
        grammar = grammars.get(self._habit)
        if grammar is None or not tokens:  # taken back, a mask that failed would leave its trace
            return
        self._before, self._grammar = grammar.node, grammar
        stepped = grammar.step(tokens, self._mask_at or self._make_room(), self._nbytes)
        status = abi.OK if stepped else abi.INVALID
        _ANSWER.pack_into(self._fields, _ANSWER_AT, self._habit, status, _READY)

    def _make_room(self) -> int:
        self._mask = ctypes.create_string_buffer(self._nbytes)
        self._mask_at = self._fields.mask = ctypes.addressof(self._mask)
        return self._mask_at

    def settle(self) -> None:
        """After a call, or when the guest asks for something else: what was not asked, was not."""
        grammar, before = self._grammar, self._before
        if grammar is None or before is None:
            return
        self._grammar = self._before = None
        if self._fields.state != _TAKEN:
            grammar.go(before)
            self._habit = _NONE
        self._fields.state = _NOTHING
