"""What clients and the daemon say to each other: one tagged union for each direction.

Every message is one SEQPACKET datagram of msgpack, an array that starts with its tag; file
descriptors travel beside it. docs/protocol.md says who may send what, and when.
"""

from __future__ import annotations

from typing import Final

import msgspec

from onecopy import errors

VERSION: Final = 1

# What a client may fetch of an entry: its segment, to read or to write, or the memfd of its spec.
READ: Final = 0
WRITE: Final = 1
SPEC: Final = 2


class Message(msgspec.Struct, array_like=True, frozen=True, tag=True, gc=False):
    """The base of all messages; the tag is the class's name."""


# ---- from clients ----


class Hello(Message, frozen=True, gc=False):
    """The first message: which protocol the client speaks, and which process it is."""

    version: int
    process: bytes
    """16 random bytes, drawn anew by every process, also after a fork."""


class Reserve(Message, frozen=True, gc=False):
    """Asks for room before a large segment is filled."""

    name: str
    nbytes: int
    overwrite: bool


class Save(Message, frozen=True, gc=False):
    """Publishes the segment whose descriptor comes along."""

    name: str
    size: int
    data_start: int
    spec_offset: int
    spec_nbytes: int
    nbytes: int
    spec: bytes
    """The packed spec again, if it is short enough for the index; else empty."""
    mutable: bool = False
    overwrite: bool = False
    pin: bool = False
    ttl: float | None = None
    reserved: bool = False
    """Whether this connection's reservation is for this segment."""
    kind: int = 0
    """What the segment is: one of `segments.region.KINDS`."""
    apart: bool = False
    """Whether the packed spec is not in the segment, whose data ends at `spec_offset`. If it
    is too long for the index, a second descriptor comes along: a sealed memfd of it."""
    parts: bool = False
    """Whether the value is a list of names: of the entries whose dicts make up the value."""


class Fetch(Message, frozen=True, gc=False):
    """Asks for descriptors, for clients that cannot open /proc/<daemon>/fd themselves."""

    slots: list[tuple[int, int, int]]
    """Slot, the generation seen in it, and what to open: `READ`, `WRITE`, or `SPEC`."""


class Wait(Message, frozen=True, gc=False):
    """Asks to be told when all of these names exist."""

    names: list[str]


class Cancel(Message, frozen=True, gc=False):
    """Withdraws this connection's wait or lock request, and its reservation."""


class Remove(Message, frozen=True, gc=False):
    """Removes entries; all of them or none."""

    names: list[str]


class Stat(Message, frozen=True, gc=False):
    """Asks for facts about entries; in the reply, None stands for what does not exist."""

    names: list[str]


class GetStats(Message, frozen=True, gc=False):
    """Asks for facts about the store."""


class Subscribe(Message, frozen=True, gc=False):
    """Turns this connection into a stream of events."""

    prefix: str


class Acquire(Message, frozen=True, gc=False):
    """Asks for a lock, and waits for it."""

    name: str | None
    """None is the lock of the whole store."""
    shared: bool
    thread: int


class Release(Message, frozen=True, gc=False):
    """Gives a lock back."""

    lock: int


Request = (
    Hello
    | Reserve
    | Save
    | Fetch
    | Wait
    | Cancel
    | Remove
    | Stat
    | GetStats
    | Subscribe
    | Acquire
    | Release
)


# ---- from the daemon ----


class Welcome(Message, frozen=True, gc=False):
    """Answers Hello; the descriptors are the index and, for those who may write, the touches."""

    version: int
    incarnation: bytes
    """16 random bytes, drawn at the daemon's start."""
    pid: int
    thread: int
    """The thread id that the index's pulse shows while the daemon lives."""
    index_fd: int
    """The index's descriptor number in the daemon, to recognise it in /proc."""
    index_size: int
    touch_size: int
    writable: bool
    """Whether this client may change anything."""
    directory: str = ""
    """Where the entries are files; empty if they are memory."""
    arenas: bool = True
    """Whether segments may be arenas: not where other users may read, who would see all of one."""


class Done(Message, frozen=True, gc=False):
    """It is done. To a Reserve of a store whose entries are files, the file to fill comes along,
    and the directory, to sync it after the save."""


class Ready(Message, frozen=True, gc=False):
    """All names that were waited for exist, or did a moment ago."""


class Granted(Message, frozen=True, gc=False):
    """The lock is yours; `lock` gives it back."""

    lock: int


class Cancelled(Message, frozen=True, gc=False):
    """Nothing that was asked for will come any more."""


class Fetched(Message, frozen=True, gc=False):
    """One flag for each slot asked for: whether its descriptor comes along."""

    found: list[bool]


class EntryStat(msgspec.Struct, array_like=True, frozen=True):
    """Facts about one entry."""

    name: str
    nbytes: int
    """Bytes of the value, without header and padding."""
    resident: int
    """Bytes of memory the segment takes."""
    in_use: bool
    """Whether any process has it open or mapped."""
    hits: int
    """Loads so far; advisory."""
    mutable: bool
    pinned: bool
    ttl: float | None
    """Seconds it lives after its last user left, or None."""
    created: float
    """Seconds since the epoch."""
    last_used: float
    """Seconds since the epoch; advisory."""


class StatReply(Message, frozen=True, gc=False):
    """Answers Stat, in the order of the names."""

    entries: list[EntryStat | None]


class StoreStats(msgspec.Struct, array_like=True, frozen=True):
    """Facts about a store."""

    name: str
    pid: int
    capacity: int
    used: int
    """Bytes of memory of all segments that still exist, reservations included."""
    entries: int
    lingering: int
    """Bytes of removed entries that somebody still uses."""
    reserved: int
    evicted: int
    """Entries evicted so far."""
    expired: int
    """Entries whose ttl ran out, so far."""
    clients: int
    """Open connections."""
    started: float
    """Seconds since the epoch."""
    directory: str = ""
    """Where its entries are files; empty if they are memory."""


class StatsReply(Message, frozen=True, gc=False):
    """Answers GetStats."""

    stats: StoreStats


class Event(Message, frozen=True, gc=False):
    """Something happened to an entry: saved, removed, evicted or expired.

    `lost` means that this watcher was too slow, and that events before this one are missing.
    """

    kind: str
    name: str


class Refused(Message, frozen=True, gc=False):
    """The request was not carried out: an error class of `onecopy.errors`, and its text."""

    error: str
    text: str

    @staticmethod
    def of(error: errors.OnecopyError) -> Refused:
        """Put an error on the wire."""
        return Refused(type(error).__name__, str(error))

    def to_error(self) -> errors.OnecopyError:
        """Make the error that the client raises."""
        kind = getattr(errors, self.error, None)
        if isinstance(kind, type) and issubclass(kind, errors.OnecopyError):
            return kind(self.text)
        return errors.ProtocolError(f"{self.error}: {self.text}")


Reply = (
    Welcome
    | Done
    | Ready
    | Granted
    | Cancelled
    | Fetched
    | StatReply
    | StatsReply
    | Event
    | Refused
)
