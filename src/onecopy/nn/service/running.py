"""What runs: the processes of all hosts of this user."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from onecopy.errors import OnecopyError
from onecopy.nn.service import messages
from onecopy.nn.service.messages import Ask, Facts
from onecopy.nn.service.spot import spots
from onecopy.store import wire

if TYPE_CHECKING:
    from onecopy.nn.service.spot import Spot

_PATIENCE: Final = struct.pack("ll", 0, 500_000)


class Loaded(msgspec.Struct, frozen=True):
    """A model that a process holds."""

    key: str
    """What tells it from others."""
    name: str
    """What the host that started it calls it."""
    backend: str
    pid: int
    users: int | None
    """How many contexts are connected; None while it loads or computes: then it does not say."""
    memory: int
    """Bytes: its share of what it has mapped (PSS); 0 if that cannot be seen."""


def running() -> list[Loaded]:
    """Return all processes that hold models for this user."""
    return [each for each in map(_ask, spots()) if each is not None]


def _ask(spot: Spot) -> Loaded | None:
    sock = spot.connect()
    if sock is None:
        return None
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        try:
            wire.send(sock, messages.encode(Ask()))
            data, fds = wire.receive(sock)
            wire.close_all(fds)
            reply = messages.decode_reply(data) if data else None
        except BlockingIOError:
            pid, backend, name = spot.signed()
            users, memory = None, memory_of(pid)
            return Loaded(spot.key, name, backend, pid, users, memory)
        except (OSError, OnecopyError):
            return None
    if not isinstance(reply, Facts):
        return None
    memory = memory_of(reply.pid)
    return Loaded(spot.key, reply.name, reply.backend, reply.pid, reply.users, memory)


def memory_of(pid: int) -> int:
    """Return a process's proportional share of memory in bytes, or 0."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
