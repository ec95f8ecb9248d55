"""What a daemon is told at its start: one JSON argument."""

from __future__ import annotations

from typing import Final

import msgspec

MODULE: Final = "onecopy.store.daemon"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How to run one store."""

    name: str
    base: str
    """The runtime directory."""
    capacity: int
    owner: int | None = None
    """The descriptor of a pidfd: the daemon ends when that process does."""
    ready: int | None = None
    """The descriptor of a pipe: gets one line when the store serves, or could not."""
    idle_exit: float | None = None
    """Seconds without clients and users after which the daemon ends."""
    group: int | None = None
    """The gid of users who may connect, and read."""
    keep_log: bool = True
    directory: str | None = None
    """Where entries are files; None for memory."""

    def to_argument(self) -> str:
        """Return the command-line argument."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def of_argument(text: str) -> Config:
        """Parse the command-line argument."""
        return msgspec.json.decode(text, type=Config)
