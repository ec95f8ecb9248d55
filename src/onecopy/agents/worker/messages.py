"""What the server and a worker tell each other.

A frame is its length in four bytes, little-endian, then msgpack: an array that starts with its
tag. Whoever receives one that is too long, or is none of the other side's, ends the connection.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from onecopy.agents.calls import Call, Refusal
from onecopy.agents.worker.limits import GIVEN_NBYTES, SAID_NBYTES, Limits
from onecopy.errors import ProtocolError

HEAD_NBYTES: Final = 4
_ROUND_IT: Final = 64 << 10
TO_WORKER_NBYTES: Final = GIVEN_NBYTES + _ROUND_IT
FROM_WORKER_NBYTES: Final = SAID_NBYTES + _ROUND_IT

# A worker may say what it likes: these come into records, and not a number is no JSON.
_Number = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class Message(msgspec.Struct, array_like=True, frozen=True, tag=True, gc=False):
    """The base of all messages; the tag is the class's name."""


# ---- to a worker ----


class Begin(Message, frozen=True, gc=False):
    """Run the agent with an event."""

    run: int
    event: str
    seed: bytes
    time_ns: int
    waits: bool
    asked: float
    """When the run was asked for, by the monotonic clock of this machine."""


class Answer(Message, frozen=True, gc=False):
    """The host's answer to the last call of a run."""

    run: int
    value: Any
    error: Refusal | None
    time_ns: int


class Cancel(Message, frozen=True, gc=False):
    """End a run, whatever it does."""

    run: int


# ---- from a worker ----


class Ready(Message, frozen=True, gc=False):
    """It waits for runs; `lacks` says what this kernel cannot confine.

    `fault` says why no run of the component could begin, if so.
    """

    lacks: list[str]
    fault: str = ""


class Asked(Message, frozen=True, gc=False):
    """A run calls its host, and waits for the answer."""

    run: int
    call: Call


class Logged(Message, frozen=True, gc=False):
    """A run writes into its log; it gets no answer."""

    run: int
    call: Call


class Ended(Message, frozen=True, gc=False):
    """A run has ended."""

    run: int
    status: str
    text: str
    started_ms: _Number
    seconds: _Number
    cpu_seconds: _Number
    memory: _Count


class Config(msgspec.Struct, frozen=True):
    """The command line of a worker, as JSON: descriptors, the server's process, limits."""

    socket: int
    component: int
    parent: int
    limits: Limits


_TO_WORKER: Final = (Begin, Answer, Cancel)
_encode: Final = msgspec.msgpack.Encoder().encode
_to_worker: Final = msgspec.msgpack.Decoder(Begin | Answer | Cancel)
_from_worker: Final = msgspec.msgpack.Decoder(Ready | Asked | Logged | Ended)


def frame(message: Message) -> bytes:
    """Return a message as it is sent.

    Raises:
        OverflowError: it is too long.
    """
    data = _encode(message)
    most = TO_WORKER_NBYTES if isinstance(message, _TO_WORKER) else FROM_WORKER_NBYTES
    if len(data) > most:
        raise OverflowError(f"{len(data)} bytes, and {most - _ROUND_IT} may be sent")
    return len(data).to_bytes(HEAD_NBYTES, "little") + data


def length(head: bytes, most: int) -> int:
    """Return how long the message after a head is.

    Raises:
        ProtocolError: over `most` bytes.
    """
    nbytes = int.from_bytes(head, "little")
    if nbytes > most:
        raise ProtocolError(f"a message of {nbytes} bytes; none has over {most}")
    return nbytes


def to_worker(data: bytes) -> Begin | Answer | Cancel:
    """Return the message of a server; raises `ProtocolError` if it is none."""
    return _decoded(_to_worker, data)  # type: ignore[no-any-return]


def from_worker(data: bytes) -> Ready | Asked | Logged | Ended:
    """Return the message of a worker; raises `ProtocolError` if it is none."""
    return _decoded(_from_worker, data)  # type: ignore[no-any-return]


def _decoded(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ProtocolError(f"not a message of a worker or its server: {error}") from None
