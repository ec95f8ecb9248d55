"""`stream-stdout`: a text that appears on the guest's own output while it is computed.

WasmEdge's plugin prints to the host's; a guest here has nothing but its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import msgspec

from onecopy.errors import EndOfSequence

if TYPE_CHECKING:
    from onecopy.nn.guest.loader import Context, Graph

_OUTPUT: Final = 1
_STREAM: Final = "stream-stdout"
_EMBEDDING: Final = "embedding"


class Streams:
    """What a guest said of its graphs and contexts."""

    def __init__(self) -> None:
        self._said: WeakKeyDictionary[Graph | Context, dict[str, Any]] = WeakKeyDictionary()

    def hear(self, whose: Graph | Context, options: str | bytes | memoryview) -> None:
        """Remember what options of a graph or a context say of this; others check them."""
        try:
            found = msgspec.json.decode(options)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        known = found if isinstance(found, dict) else {}
        self._said[whose] = {key: known[key] for key in (_STREAM, _EMBEDDING) if key in known}

    def wanted(self, graph: Graph, context: Context) -> bool:
        """Return whether a context's text is to be printed."""
        said = {**self._said.get(graph, {}), **self._said.get(context, {})}
        return said.get(_STREAM) is True and said.get(_EMBEDDING) is not True


def print_text(context: Context) -> None:
    """Compute a text as `compute` does, and print each token as it comes.

    Raises:
        OnecopyError: as `Context.compute` does.
    """
    context.finish_single()
    try:
        while True:
            context.compute_single()
            _print(context.output_single(0))
    except EndOfSequence:
        pass


def _print(text: memoryview) -> None:
    left = text.cast("B")
    try:
        while left:
            left = left[os.write(_OUTPUT, left) :]
    except OSError:
        pass  # Nobody reads it: the text itself is computed nevertheless.
