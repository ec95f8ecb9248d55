"""Datagrams with descriptors over a Unix SEQPACKET socket."""

from __future__ import annotations

import array
import ctypes
import mmap
import os
import socket
import threading
from typing import Any, Final

import msgspec

from onecopy import native
from onecopy.errors import LimitReached, ProtocolError
from onecopy.store.messages import Message, Reply, Request

# The default send buffer refuses datagrams over about 208 KB; longer lists are split.
MESSAGE_LIMIT: Final = 200_000
# SCM_MAX_FD: the kernel refuses more descriptors in one message.
FDS_LIMIT: Final = 253
# Names or slots in one message: 400 names of 255 bytes stay below the limit with their replies.
BATCH: Final = 250

_encode = msgspec.msgpack.Encoder().encode
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)

_INT: Final = array.array("i").itemsize
_FD_SPACE: Final = socket.CMSG_SPACE(FDS_LIMIT * _INT)
# Plain ints: arithmetic on the socket module's enums costs microseconds.
_RECEIVE: Final = int(socket.MSG_CMSG_CLOEXEC)
_SEND: Final = int(socket.MSG_NOSIGNAL)
_TOO_LONG: Final = int(socket.MSG_TRUNC)
_INCOMPLETE: Final = int(socket.MSG_CTRUNC | socket.MSG_TRUNC)


# What the library says when a signal came before the answer: Python has to handle it first.
_INTERRUPTED: Final = -4096
_OWN_MEMORY: Final = int(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class _Local(threading.local):
    """Where a thread receives. To allocate room for the longest message each time would cost
    more than all the rest: so much memory comes from the kernel, and goes back to it."""

    def __init__(self) -> None:
        # Private: the default is shared, and a forked child would write into ours.
        self.buffer = memoryview(mmap.mmap(-1, MESSAGE_LIMIT, flags=_OWN_MEMORY))
        self.address = ctypes.addressof(ctypes.c_byte.from_buffer(self.buffer))


_local = _Local()


def encode(message: Message) -> bytes:
    """Return the datagram of a message."""
    return _encode(message)


def send(sock: socket.socket, data: bytes, fds: tuple[int, ...] = ()) -> None:
    """Send one datagram, with descriptors beside it."""
    if not fds:
        sock.send(data, _SEND)
        return
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    sock.sendmsg([data], [rights], _SEND)


def exchange(sock: socket.socket, data: bytes, fd: int) -> bytes | None:
    """Send a datagram with one descriptor, and return the answer, or None if it is to be received.

    Descriptors that come with the answer are dropped. Raises `OSError` as sockets do.
    """
    library = native.find()
    if library is None:
        send(sock, data, (fd,))
        return None
    buffer = _local.buffer
    count: int = library.slow.onecopy_exchange(
        sock.fileno(), data, len(data), fd, _local.address, MESSAGE_LIMIT
    )
    if count >= 0:
        return bytes(buffer[:count])
    if count == _INTERRUPTED:
        return None
    raise OSError(-count, os.strerror(-count))


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one datagram and its descriptors; `(b"", [])` at the end of the stream.

    Raises `LimitReached` if descriptors were dropped because this process may open no more,
    and `ProtocolError` for a datagram over the limit. Nothing that arrived stays open then.
    """
    buffer = _local.buffer
    count, ancillary, flags, _ = sock.recvmsg_into([buffer], _FD_SPACE, _RECEIVE)
    fds = _descriptors(ancillary) if ancillary else []
    if flags & _INCOMPLETE:
        close_all(fds)
        if flags & _TOO_LONG:
            raise ProtocolError(f"a message over {MESSAGE_LIMIT} bytes arrived")
        raise LimitReached("descriptors were lost: too many open files; raise `ulimit -n`")
    return bytes(buffer[:count]), fds


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % _INT])
    return list(fds)


def close_all(fds: list[int]) -> None:
    """Close descriptors that nobody wants."""
    for fd in fds:
        os.close(fd)


def decode_request(data: bytes) -> Any:
    """Parse a client's message; raises `ProtocolError` for anything else."""
    return _decode(_requests, data)


def decode_reply(data: bytes) -> Any:
    """Parse the daemon's message; raises `ProtocolError` for anything else."""
    return _decode(_replies, data)


def _decode(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a message of protocol version 1: {error}") from None
