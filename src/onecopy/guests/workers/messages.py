"""What the engine tells its workers, and what they answer.

Every message is one SEQPACKET datagram: four bytes that number the request, then msgpack, an array
that starts with its tag; the answer has the same number. Calls of guests, which are the most
frequent by far, have a form of their own (see `Call`), told apart by its first byte. Descriptors
travel beside the datagram, from the engine to the worker only.

A service of a worker adds messages of its own: subclasses of `Message` that say what answers them.
"""

from __future__ import annotations

import fcntl
import functools
import os
import struct
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from onecopy import errors
from onecopy.segments import region
from onecopy.store import wire

if TYPE_CHECKING:
    import socket

NUMBER_NBYTES: Final = 4
# No first byte of msgpack's arrays, nor of each other.
CALL_KIND: Final = 0xC1
_SPILLED: Final = b"\xc0"

LIMIT: Final = 64 << 20
"""Bytes of the longest message; those that fill no datagram travel in a memfd."""
_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class Message(msgspec.Struct, array_like=True, frozen=True, tag=True, gc=False):
    """The base of all messages; the tag is the class's name.

    `answer` is the class of what answers it, or None for what gets no answer.
    """

    answer: ClassVar[Any] = None


class Done(Message, frozen=True, gc=False):
    """It was done, and there is no more to say."""


class Failed(Message, frozen=True, gc=False):
    """It was not done: an error class of `onecopy.errors`, and its text."""

    error: str
    text: str
    seconds: float = 0.0
    """How long the guest ran."""
    logs: tuple[tuple[int, str], ...] = ()
    """What the guest said meanwhile: level and text."""
    ended: bool = False
    """Whether the guest is not called again."""

    @staticmethod
    def of(error: errors.OnecopyError) -> Failed:
        """Put an error on the wire."""
        return Failed(type(error).__name__, str(error)[:4000])

    def to_error(self) -> errors.OnecopyError:
        """Make the error that the caller raises."""
        kind = getattr(errors, self.error, None)
        if isinstance(kind, type) and issubclass(kind, errors.OnecopyError):
            return kind(self.text)
        return errors.GuestError(f"{self.error}: {self.text}")


class Started(Message, frozen=True, gc=False):
    """A worker is ready; `unfiltered` says why its system calls are not filtered, if so."""

    unfiltered: str


class Ping(Message, frozen=True, gc=False):
    """Asks whether a worker still answers."""

    answer: ClassVar[Any] = Done


class Load(Message, frozen=True, gc=False):
    """Hands over a module's native code, in the sealed memfd beside it."""

    answer: ClassVar[Any] = Done
    digest: str


class Forget(Message, frozen=True, gc=False):
    """Drops a module; guests that were made of it live on."""

    answer: ClassVar[Any] = Done
    digest: str


def number(value: int) -> bytes:
    """Return how a request's number looks on the wire."""
    return value.to_bytes(NUMBER_NBYTES, "little")


encode: Final = msgspec.msgpack.Encoder().encode


class Decoder:
    """Parses the messages of some classes; raises `ProtocolError` for anything else."""

    def __init__(self, *kinds: Any) -> None:
        union = kinds[0]
        for kind in kinds[1:]:
            union |= kind
        self._decode = msgspec.msgpack.Decoder(union).decode

    def __call__(self, data: bytes | memoryview) -> Any:
        """Return the message."""
        try:
            return self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise errors.ProtocolError(f"not a message of this service: {error}") from None


def send(sock: socket.socket, head: bytes, data: bytes, fds: tuple[int, ...] = ()) -> None:
    """Send a numbered message; one that is too long for a datagram goes into a memfd.

    Raises:
        InvalidArgument: over `LIMIT` bytes, or too many descriptors.
    """
    if len(fds) >= wire.FDS_LIMIT:
        raise errors.InvalidArgument(f"{len(fds)} descriptors in one message; open fewer windows")
    if len(data) + len(head) <= wire.MESSAGE_LIMIT:
        wire.send(sock, head + data, fds)
        return
    if len(data) > LIMIT:
        raise errors.InvalidArgument(
            f"a request of {len(data)} bytes, and workers take {LIMIT}; put large data in a window"
        )
    spilled = memfd(data)
    try:
        wire.send(sock, head + _SPILLED, (spilled, *fds))
    finally:
        os.close(spilled)


def receive(sock: socket.socket) -> tuple[bytes, bytes, list[int]]:
    """Receive a message: its number, its bytes, descriptors; all are empty at the end."""
    datagram, fds = wire.receive(sock)
    head, data = datagram[:NUMBER_NBYTES], datagram[NUMBER_NBYTES:]
    if data == _SPILLED:
        data = contents(fds.pop(0))
    return head, data, fds


def memfd(data: bytes) -> int:
    """Return a sealed memfd that holds some bytes."""
    fd = region.create("onecopy-message")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def contents(fd: int) -> bytes:
    """Return what a memfd holds, and close it."""
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        return file.read()


class Call:
    """A call of a guest's function, and its result, as plain structs.

    Request: the kind, which function of the guest, which guest, the seconds that it may take; then
    each argument in eight bytes, as the function's signature has it. Answer: the kind, the type of
    the result, the seconds that it took, and the result in eight bytes.
    """

    REQUEST: Final = struct.Struct("<BxHId")
    ANSWER: Final = struct.Struct("<BB6xd")
    ANSWER_INT: Final = struct.Struct("<BB6xdq")
    ANSWER_FLOAT: Final = struct.Struct("<BB6xdd")
    NOTHING, INTEGER, FLOAT = range(3)


@functools.cache
def arguments(params: tuple[str, ...]) -> struct.Struct:
    """Return how a call's arguments are laid out: integers of all sizes in 64 bits."""
    return struct.Struct("<" + "".join("d" if each.startswith("f") else "q" for each in params))
