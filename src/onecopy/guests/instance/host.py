"""What a guest's imports do: the part that every guest has.

Each method gets the numbers that the guest gave, unsigned and unchecked, and returns what the
guest gets back. A bad address is an answer (`RANGE`), not an exception: the guest asked, and is
told.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from onecopy.errors import GuestTrapped, InvalidArgument
from onecopy.guests.wasm import abi
from onecopy.guests.windows.streams import STREAM_FUNCTIONS, Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.guests.wasm.memory import LinearMemory
    from onecopy.guests.wasm.raw import Shortcut
    from onecopy.guests.windows.source import Source

log = logging.getLogger("onecopy.guests")

LINE_NBYTES: Final = 1000
_LEVELS: Final = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


class Host:
    """The host's side of one guest; `attach` it before the guest runs."""

    def __init__(self, config: bytes = b"", streams: Sequence[Source] = ()) -> None:
        self._config = config
        self._streams = Streams(streams)
        self._memory: LinearMemory | None = None
        self._control_address = 0
        self.say: Callable[[int, str], None] = _log

    def attach(self, memory: LinearMemory, control_address: int) -> None:
        """Learn where the guest's memory is."""
        self._memory = memory
        self._control_address = control_address

    @property
    def memory(self) -> LinearMemory:
        """The guest's memory.

        Raises:
            GuestTrapped: it is not known yet: the module's own start function runs.
        """
        return self._attached()

    def _attached(self) -> LinearMemory:
        if self._memory is None:
            raise GuestTrapped(
                "the guest called the host before it was ready: do that in `_initialize` or later, "
                "not in a start function"
            )
        return self._memory

    def function(self, name: str) -> Callable[..., int | None]:
        """Return what an import does; those of other kinds of guests answer `DENIED`."""
        if name in STREAM_FUNCTIONS and not self._streams.count:
            return _denied
        return getattr(self, name, _denied)

    def shortcut(self, name: str) -> Shortcut | None:  # noqa: ARG002
        """Return what is called in the place of an import, if there is something faster."""
        return None

    def control(self) -> int:
        """Where the control page is."""
        self._attached()
        return self._control_address

    def log(self, level: int, address: int, nbytes: int) -> None:
        """Log a line of the guest."""
        number = _LEVELS[min(level, len(_LEVELS) - 1)]
        self.say(number, self._text(address, min(nbytes, LINE_NBYTES)))

    def config(self, address: int, room: int) -> int:
        """Copy the configuration; return its whole length."""
        return self.hand_over(self._config, address, room)

    def stream_size(self, stream: int) -> int:
        """The bytes of a stream."""
        return self._streams.stream_size(stream)

    def read(self, stream: int, offset: int, address: int, nbytes: int) -> int:
        """Copy a range of a stream into memory."""
        return self._streams.read(self.memory, stream, offset, address, nbytes)

    def write(self, stream: int, offset: int, address: int, nbytes: int) -> int:
        """Copy memory into a range of a stream."""
        return self._streams.write(self.memory, stream, offset, address, nbytes)

    def register_range(self, address: int, nbytes: int) -> int:
        """Register memory for transfers."""
        return self._streams.register_range(self.memory, address, nbytes)

    def submit(self, address: int, count: int) -> int:
        """Take transfers."""
        return self._streams.submit(self.memory, address, count)

    def complete(self, least: int) -> int:
        """Make the transfers that were submitted."""
        return self._streams.complete(self.memory, least)

    def fail(self, address: int, nbytes: int) -> None:
        """End the call with the guest's own reason."""
        raise GuestTrapped(f"the guest gave up: {self._text(address, min(nbytes, LINE_NBYTES))}")

    def hand_over(self, data: bytes, address: int, room: int) -> int:
        """Copy what fits into the guest; return the whole length, or `RANGE`."""
        try:
            self.memory.write(address, data[:room])
        except InvalidArgument:
            return abi.RANGE
        return len(data)

    def _text(self, address: int, nbytes: int) -> str:
        try:
            return self.memory.read(address, nbytes).decode(errors="replace")
        except InvalidArgument:
            return "(text outside its memory)"


def _denied(*_: int) -> int:
    return abi.DENIED


def _log(level: int, text: str) -> None:
    # Repr: what a guest says may hold line breaks and terminal sequences.
    log.log(level, "%r", text)
