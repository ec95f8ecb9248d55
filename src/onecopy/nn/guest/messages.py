"""What a host and the process of a guest tell each other, beside the requests for models.

One datagram each, msgpack; the formats of both are this file's. The process says `Ready` once it
has nothing more to import, and waits. It may get a `Module`, with the native code beside it, and
gets `Start`, with descriptors beside it: the native code, the three standard streams, each
folder and each window. It says `Said` some times, and at last `Ended`.

The process that forks it has a socket for each guest as well, and says `Forked`, with a pidfd and
the open `/proc/PID/statm` beside it, then `Exited`; or only `NotForked`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from onecopy.errors import ProtocolError
from onecopy.guests.windows.source import Fields

STREAMS: Final = 3


class Folder(msgspec.Struct, frozen=True):
    """A folder that a guest may use; its descriptor comes beside the message."""

    name: str
    """As the guest knows it."""
    writable: bool = True


class Module(msgspec.Struct, tag=True, frozen=True):
    """Get this module ready, whose native code comes along: it will probably be run."""

    digest: str
    component: bool = False
    """Whether it is a component, rather than a module."""


class Start(msgspec.Struct, tag=True, frozen=True):
    """Run a module now."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    folders: tuple[Folder, ...]
    memory_limit: int
    windows: tuple[tuple[str, Fields], ...] = ()
    """By their names; the descriptor of each comes beside the message, after the folders'."""
    module: Module = Module("")


class Ready(msgspec.Struct, tag=True, frozen=True):
    """The process waits for `Start`."""


class Said(msgspec.Struct, tag=True, frozen=True):
    """Something for the log: a call was refused, or a part of the sandbox is not there."""

    text: str
    warning: bool = False


class Ended(msgspec.Struct, tag=True, frozen=True):
    """The guest returned, or failed: then `error` names a class of `onecopy.errors`."""

    status: int = 0
    error: str = ""
    text: str = ""


class Forked(msgspec.Struct, tag=True, frozen=True):
    """The process is there."""

    pid: int


class NotForked(msgspec.Struct, tag=True, frozen=True):
    """There are not enough processes, descriptors or memory."""

    errno: int


class Exited(msgspec.Struct, tag=True, frozen=True):
    """The process has ended, and was waited for."""

    status: int
    """As `subprocess` says it: below 0 it is a signal."""


FromGuest = Ready | Said | Ended

encode: Final = msgspec.msgpack.Encoder().encode
_orders: Final = msgspec.msgpack.Decoder(Module | Start)
_from_guest: Final = msgspec.msgpack.Decoder(FromGuest)
_from_server: Final = msgspec.msgpack.Decoder(Forked | NotForked | Exited)


def decode_order(data: bytes) -> Any:
    """Parse what a host says; it is trusted."""
    return _orders.decode(data)


def decode_server(data: bytes) -> Any:
    """Parse what the process that forks says; it is trusted."""
    return _from_server.decode(data)


def decode(data: bytes) -> Any:
    """Parse what the process of a guest says; raises `ProtocolError` for anything else."""
    try:
        return _from_guest.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a message of a guest's process: {error}") from None
