"""A function of a guest, as the engine calls it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from onecopy.guests.workers import messages
from onecopy.guests.workers.messages import CALL_KIND, Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.workers.calls import Prepared

_WRAP: Final = 1 << 64


class Function:
    """A function of a guest, as calls need it."""

    def __init__(self, name: str, guest: int, prepared: Prepared) -> None:
        self.name = name
        self.params = prepared.params
        self._number = prepared.function
        self._guest = guest
        self._cells = messages.arguments(prepared.params)

    def request(self, numbers: Sequence[float], seconds: float) -> bytes:
        """Return the request of a call.

        Raises:
            TypeError: not as many numbers as it takes, or of the wrong kind.
        """
        if len(numbers) != len(self.params):
            raise TypeError(f"{self.name} takes {len(self.params)} numbers, not {len(numbers)}")
        try:
            cells = self._cells.pack(*numbers)
        except struct.error:
            cells = self._cells.pack(*map(_wrapped, self.params, numbers))
        return Call.REQUEST.pack(CALL_KIND, self._number, self._guest, seconds) + cells


def _wrapped(kind: str, number: float) -> float:
    if not isinstance(number, int | float):
        raise TypeError(f"{number!r} is no number; guests are given tensors and texts in windows")
    if kind.startswith("f"):
        return number
    if not isinstance(number, int):
        raise TypeError(f"{number!r} is given for an integer; round it first")
    return (number + _WRAP // 2) % _WRAP - _WRAP // 2
