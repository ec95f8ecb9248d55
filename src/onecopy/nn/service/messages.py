"""What is said over the socket to the process that holds a model.

Each message is one SEQPACKET datagram of msgpack, as the store's are (store/wire.py). A connection
has one context: what is computed for it, and for text models what was said so far. It sends one
request at a time; each is answered by one message, or by `Refused`.

    Hello    → Welcome                        once, first; a model that does not load is `Refused`
    Ask      → Facts                          instead of Hello: who asks is no user
    Compute  → Computed | Short               the segment's descriptor comes along when it is new
    Single   → Computed | Short               one more token of a text
    Prepare  → Computed | Short               what may be asked about a prompt, and no text yet
    Collect  → Computed                       after Short, with a segment that is large enough
    Finish   → Done                           forget the text that Single began

Tensors are in the connection's segment: a memfd that the client made, whose size it has sealed.
Inputs lie below `room`; the process writes outputs from there on.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from onecopy.errors import ProtocolError
from onecopy.nn.backends.backend import Port
from onecopy.store.messages import Done as Done
from onecopy.store.messages import Message as Message
from onecopy.store.messages import Refused as Refused

VERSION: Final = 1

TENSORS: Final = 64
"""How many inputs or outputs a model may have."""
DIMENSIONS: Final = 16
SEGMENT: Final = 1 << 33
"""How many bytes a segment may have."""
ALIGN: Final = 64


class Tensor(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a tensor is in the segment, in bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


class Hello(Message, frozen=True, gc=False):
    """The first message of a user."""

    version: int
    config: str
    """The options of the graph: a JSON object, or empty."""
    idle: float
    """How many seconds the process is to stay when this user was the last to leave."""


class Ask(Message, frozen=True, gc=False):
    """Asks what runs here."""


class Compute(Message, frozen=True, gc=False):
    """Asks for all outputs."""

    inputs: list[Tensor | None]
    """None stands for one that is not given."""
    room: int
    nbytes: int
    """Of the segment."""


class Single(Message, frozen=True, gc=False):
    """Asks for one more token; the first time, and after inputs have changed, of a new text."""

    inputs: list[Tensor | None]
    room: int
    nbytes: int
    anew: bool


class Prepare(Message, frozen=True, gc=False):
    """Asks how long a prompt is, as guests do before they have a text computed."""

    inputs: list[Tensor | None]
    room: int
    nbytes: int


class Collect(Message, frozen=True, gc=False):
    """Asks for the outputs that had no room."""

    room: int
    nbytes: int


class Finish(Message, frozen=True, gc=False):
    """Ends a text that was asked for token by token."""


class Welcome(Message, frozen=True, gc=False):
    """Answers Hello."""

    version: int
    what: str
    """`"tensors"` or `"text"`."""
    inputs: list[Port]
    outputs: list[Port]
    pid: int


class Facts(Message, frozen=True, gc=False):
    """Answers Ask."""

    name: str
    backend: str
    pid: int
    users: int


class Computed(Message, frozen=True, gc=False):
    """The outputs are in the segment; with them may come why there are not more."""

    outputs: list[Tensor]
    names: tuple[str, ...] = ()
    """Of the outputs, if the model did not say them at first."""
    ended: Refused | None = None


class Short(Message, frozen=True, gc=False):
    """The outputs need so many bytes beyond `room`."""

    nbytes: int


Request = Hello | Ask | Compute | Single | Prepare | Collect | Finish
Reply = Welcome | Facts | Computed | Short | Done | Refused

encode: Final = msgspec.msgpack.Encoder().encode
_requests: Final = msgspec.msgpack.Decoder(Request)
_replies: Final = msgspec.msgpack.Decoder(Reply)


def decode_request(data: bytes) -> Any:
    """Parse what a client sent; raises `ProtocolError` for anything else."""
    return decode(_requests, data)


def decode_reply(data: bytes) -> Any:
    """Parse what the process sent; raises `ProtocolError` for anything else."""
    return decode(_replies, data)


def decode(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
    """Parse a message; raises `ProtocolError` for anything else."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a message of this service: {error}") from None
