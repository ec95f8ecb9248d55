"""Texts that appear on the standard output while they are generated.

Guests of WasmEdge ask for that by an option, `stream-stdout`, of a graph or of one prompt; then
they compute the text as a whole, and need not print it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import EndOfSequence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onecopy.nn.guest.loader import Context

_OPTION: Final = "stream-stdout"
_STDOUT: Final = 1


class Echo:
    """Knows which graphs and contexts, by their handles, have the option."""

    def __init__(self, fd: int = _STDOUT) -> None:
        self._fd = fd
        self._wanted: set[int] = set()

    def note(self, handle: int, options: str | memoryview) -> None:
        """Learn the options of a graph, or of a context's prompt."""
        try:
            found: Any = msgspec.json.decode(options) if len(options) else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # whoever needs them says what is wrong
        if isinstance(found, dict) and _OPTION in found:
            (self._wanted.add if found[_OPTION] is True else self._wanted.discard)(handle)

    def inherit(self, context: int, graph: int) -> None:
        """Have a new context do as its graph does."""
        if graph in self._wanted:
            self._wanted.add(context)

    def forget(self, handles: Iterable[int]) -> None:
        """Drop what has been unloaded."""
        self._wanted.difference_update(handles)

    def compute(self, handle: int, context: Context) -> None:
        """Compute a text, token by token if it is to be seen."""
        if handle not in self._wanted:
            context.compute()
            return
        context.finish_single()
        seen = False
        while True:
            try:
                context.compute_single()
            except EndOfSequence:
                break
            seen = True
            self._write(context.output_single(0))
        if not seen:
            context.compute()  # what has no tokens, an embedding or an empty text, has outputs too

    def _write(self, data: memoryview) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError:
                return  # nobody reads it any more: the guest's own writes will tell it
