"""Windows of sequences: their segments, each open once however many sequences it is shown to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import InvalidArgument, WindowRefused
from onecopy.guests.wasm.control import MAX_WINDOWS
from onecopy.guests.windows.source import Fields
from onecopy.guests.windows.sources import sources_of
from onecopy.guests.windows.window import check_window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from onecopy.guests.windows.source import Source

VOCABULARY: Final = "vocab"
LOGITS: Final = "logits"


class Shown(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A window of a sequence: its name, the number of the segment, and where in it to look."""

    name: str
    segment: int
    fields: Fields


class Segment:
    """An open segment, and how many have use for it."""

    __slots__ = ("fd", "key", "users")

    def __init__(self, fd: int, key: tuple[int, int, bool]) -> None:
        self.fd = fd
        self.key = key
        self.users = 0


class Lender:
    """The segments; its caller holds the lock of `Controllers`."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}
        self._numbers: dict[tuple[int, int, bool], int] = {}
        self._last = 0

    def take(self, sources: Mapping[str, Source]) -> tuple[Shown, ...]:
        """Take over what sources have open; return what is to be told of them."""
        return tuple(Shown(name, self._take(each), each.fields()) for name, each in sources.items())

    def _take(self, source: Source) -> int:
        status = os.fstat(source.fd)
        key = (status.st_dev, status.st_ino, source.writable)
        number = self._numbers.get(key)
        if number is None:
            self._last = number = self._last + 1
            self._numbers[key] = number
            self._segments[number] = Segment(source.fd, key)
            source.fd = -1
        else:
            source.close()
        self._segments[number].users += 1
        return number

    def hold(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return the descriptors of segments by number, open until `give_back`.

        Those that nobody has use for any more are left out.
        """
        found = {number: self._segments[number] for number in numbers if number in self._segments}
        for each in found.values():
            each.users += 1
        return {number: each.fd for number, each in found.items()}

    def give_back(self, numbers: Iterable[int]) -> list[int]:
        """End a use of segments; return those that nobody has use for, which are closed."""
        unused = []
        for number in numbers:
            segment = self._segments[number]
            segment.users -= 1
            if not segment.users:
                os.close(segment.fd)
                del self._segments[number], self._numbers[segment.key]
                unused.append(number)
        return unused


def checked(
    windows: Mapping[str, Any], *, copy: bool, reserved: tuple[str, ...]
) -> dict[str, Source]:
    """Return the sources of a sequence's windows, which the caller closes.

    Raises:
        WindowRefused: one cannot be mapped, has a name that is taken, or there are too many.
    """
    for name in reserved:
        if name in windows:
            raise WindowRefused(f"every controller has a window {name!r}; choose another name")
    if len(windows) + len(reserved) > MAX_WINDOWS:
        raise WindowRefused(
            f"{len(windows)} windows, and a controller has at most {MAX_WINDOWS - len(reserved)} "
            "of its own; lay several tensors into one"
        )
    sources = sources_of(windows, copy=copy)
    try:
        for name, each in sources.items():
            check_window(name, each)
    except BaseException:
        for each in sources.values():
            each.close()
        raise
    return sources


def row_sources(logits: Any, batch: int, vocab: int) -> tuple[Source, ...]:
    """Return the rows of a batch's logits, for guests to write to."""
    if tuple(logits.shape) != (batch, vocab) or str(logits.dtype).split(".")[-1] != "float32":
        raise InvalidArgument(
            f"logits are float32 of shape ({batch}, {vocab}), not {logits.dtype} of "
            f"{tuple(logits.shape)}"
        )
    return tuple(sources_of({str(row): (logits[row], "rw") for row in range(batch)}).values())
