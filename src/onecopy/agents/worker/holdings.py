"""What a run holds of WASI: its pollables, and the lines that it has not finished."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST: Final = 4096
_FIRST: Final = 16
"""Below are the numbers of the standard streams."""
_LINE: Final = 8192
_LEVELS: Final = {1: "info", 2: "warning"}
_ERRORS: Final = 2
_LAST_LINES: Final = 12


class Holdings:
    """`log` is called with the level and the text of each line that the guest prints."""

    def __init__(self, log: Callable[[str, str], object]) -> None:
        self._log = log
        self._due: dict[int, int] = {}
        self._next = _FIRST
        self._lines = dict.fromkeys(_LEVELS, b"")
        self.last_words: deque[str] = deque(maxlen=_LAST_LINES)
        """The last lines of the standard error: a guest that gives up says why there."""

    def new_pollable(self, at_ns: int) -> int | None:
        """Return the number of a pollable that is ready at a time; None if there are too many."""
        if len(self._due) >= _MOST:
            return None
        self._next += 1
        self._due[self._next] = at_ns
        return self._next

    def due(self, pollable: int) -> int:
        """Return when a pollable is ready, in nanoseconds of the monotonic clock."""
        return self._due[pollable]

    def dropped(self, number: int) -> None:
        """Forget what the guest has dropped; it never raises."""
        self._due.pop(number, None)

    def written(self, stream: int, data: bytes) -> None:
        """Log the lines that are finished, and keep the rest."""
        *lines, rest = (self._lines[stream] + data).split(b"\n")
        for line in lines:
            self._say(stream, line)
        if len(rest) >= _LINE:
            self._say(stream, rest)
            rest = b""
        self._lines[stream] = rest

    def flush(self) -> None:
        """Log what is left of both streams."""
        for stream, rest in self._lines.items():
            self._lines[stream] = b""
            if rest:
                self._say(stream, rest)

    def _say(self, stream: int, line: bytes) -> None:
        text = line.decode(errors="replace")
        if stream == _ERRORS:
            self.last_words.append(text)
        if text:
            self._log(_LEVELS[stream], text)
