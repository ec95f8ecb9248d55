"""A client that says what it likes, and segments with whatever one likes in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from onecopy.segments import region
from onecopy.store import messages, wire
from onecopy.store.runtime import Place
from onecopy.tensors import spec as specs


class RawClient:
    """A connection on which anything can be sent."""

    def __init__(self, name: str = "test", *, hello: bool = True) -> None:
        self.sock = Place(name).connect()
        self.sock.settimeout(60)
        if hello:
            reply = self.ask(messages.Hello(messages.VERSION, os.urandom(16)))
            assert isinstance(reply, messages.Welcome), reply

    def send(self, data: bytes | messages.Message, fds: Sequence[int] = ()) -> bool:
        """Send a datagram; say whether the daemon took it: it may have hung up."""
        payload = data if isinstance(data, bytes) else wire.encode(data)
        try:
            wire.send(self.sock, payload, tuple(fds))
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self) -> Any:
        """Return the next reply, or None if the daemon has hung up."""
        try:
            data, fds = wire.receive(self.sock)
        except ConnectionResetError:
            return None
        wire.close_all(fds)
        return wire.decode_reply(data) if data else None

    def ask(self, data: bytes | messages.Message, fds: Sequence[int] = ()) -> Any:
        """Send a datagram and return the reply, or None if the daemon has hung up."""
        return self.receive() if self.send(data, fds) else None

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refusal(reply: object) -> str:
    """Return the error's name in a reply that must be a refusal."""
    assert isinstance(reply, messages.Refused), reply
    return reply.error


class Segment:
    """A sealed memfd made by hand: room for a header, `data`, and a packed spec."""

    START = 128

    def __init__(
        self, data: bytes, spec: bytes, *, mutable: bool = False, seal: bool = True, tail: int = 0
    ) -> None:
        self.spec = spec
        self.data_start = self.START
        self.spec_offset = self.START + len(data)
        self.nbytes = len(data)
        self.size = self.spec_offset + len(spec) + tail
        self.mutable = mutable
        self.fd = region.create("by-hand")
        region.write(self.fd, [b"\0" * self.START, data, spec, b"\0" * tail])
        if seal:
            region.seal(self.fd, mutable=mutable)

    def message(self, name: str, **changes: Any) -> messages.Save:
        """Return the Save that publishes it, with fields changed at will."""
        fields: dict[str, Any] = {
            "name": name,
            "size": self.size,
            "data_start": self.data_start,
            "spec_offset": self.spec_offset,
            "spec_nbytes": len(self.spec),
            "nbytes": self.nbytes,
            "spec": b"",
            "mutable": self.mutable,
            "overwrite": True,
        }
        return messages.Save(**(fields | changes))

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bytes_spec(nbytes: int, offset: int = 0) -> bytes:
    """Return the spec of one buffer of `nbytes` in one block."""
    return specs.encode([(offset, nbytes)], [0, "buffer", ["B", [nbytes]], [0, 0]])
