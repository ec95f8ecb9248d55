"""A user of a model, from both ends of its connection."""

from __future__ import annotations

import os
import socket

from onecopy.nn.service import messages
from onecopy.nn.service.seat import Seat
from onecopy.segments import region
from onecopy.store import wire
from onecopy.store.daemon.loop import Loop
from onecopy.store.daemon.peer import Peer
from tests.nn.arithmetic import Counting

NBYTES = 4096


class Client:
    """The other end of a seat's connection."""

    def __init__(self, model: Counting | None = None, config: str = "") -> None:
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.peer = Peer(theirs, Loop(), lambda *_: None, lambda _: None)
        self.seat = Seat(self.peer, 0, config, model)
        self.fds: list[int] = []

    def segment(self, nbytes: int = NBYTES) -> int:
        self.fds.append(region.create("test", nbytes))
        region.seal(self.fds[-1], mutable=True)
        return self.fds[-1]

    def answer(self) -> object:
        return messages.decode_reply(wire.receive(self.sock)[0])

    def close(self) -> None:
        self.seat.close()
        self.peer.close()
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
