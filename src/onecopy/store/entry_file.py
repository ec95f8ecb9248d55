"""Reading an entry from its file, without a daemon."""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import CorruptEntry, InvalidArgument
from onecopy.segments import trailer
from onecopy.segments.mapping import MODES, map_fd
from onecopy.store.messages import EntryStat
from onecopy.tensors import spec as specs
from onecopy.tensors.values import unpack

if TYPE_CHECKING:
    from onecopy.segments.mapping import Mapping, Mode
    from onecopy.tensors.spec import Spec

# Not blocking on a FIFO.
FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class EntryFile:
    """One entry's file, open; close it, or use it as a context manager."""

    def __init__(self, name: str, directory: int | None = None) -> None:
        """Open the file `name`, in `directory` if given.

        Raises `FileNotFoundError`, and `CorruptEntry` for a file that is no entry.
        """
        flags = FLAGS if directory is None else FLAGS | os.O_NOFOLLOW
        self.path = name
        self.fd = os.open(name, flags, dir_fd=directory)
        try:
            self.status = os.fstat(self.fd)
            if not stat.S_ISREG(self.status.st_mode):
                raise CorruptEntry("it is not a regular file")
            self.facts, self._before = trailer.read(self.fd, self.status.st_size)
        except CorruptEntry as error:
            self.close()
            raise CorruptEntry(f"{name}: {error}") from None
        except BaseException:
            self.close()
            raise

    @property
    def parts(self) -> bool:
        """Whether the value is a list of names: of the entries whose dicts make it up."""
        return bool(self.facts.flags & trailer.PARTS)

    def load(self, mode: Mode | None) -> Any:
        """Return the value as views of a map of the file, which needs no descriptor."""
        chosen = check_mode(mode)
        facts = self.facts
        try:
            mapping, layout = self._map(chosen)
            return unpack(mapping, facts.data_start, layout, chosen)
        except CorruptEntry as error:
            raise CorruptEntry(f"{self.path}: {error}") from error

    def _map(self, mode: Mode) -> tuple[Mapping, Spec]:
        facts = self.facts
        decode = partial(specs.decode, room=facts.spec_offset - facts.data_start)
        if facts.origin:
            spec = trailer.spec_of(self.fd, self.status.st_size, facts, self._before)
            return self._map_origin(mode), decode(spec)
        mapping = map_fd(self.fd, self.status.st_size, mode)
        return mapping, decode(mapping.view(facts.spec_offset, facts.spec_nbytes))

    def _map_origin(self, mode: Mode) -> Mapping:
        fd = trailer.open_origin(self.facts)
        try:
            return map_fd(fd, self.facts.spec_offset, mode)
        finally:
            os.close(fd)

    def stat(self) -> EntryStat:
        """Return facts about the entry; who uses it, nobody counts."""
        facts, created = self.facts, self.facts.created / 1e9
        return EntryStat(
            name=facts.name.decode(),
            nbytes=facts.nbytes,
            resident=self.status.st_blocks * 512,
            in_use=False,
            hits=0,
            mutable=False,
            pinned=bool(facts.flags & trailer.PINNED),
            ttl=facts.ttl,
            created=created,
            last_used=created,
        )

    def close(self) -> None:
        """Close the file; what was loaded stays."""
        os.close(self.fd)

    def __enter__(self) -> EntryFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_mode(mode: Mode | None) -> Mode:
    """Return the mode of a load from a file that nobody may write to."""
    if mode is None:
        return "private"
    if mode not in MODES:
        raise InvalidArgument(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if mode == "shared":
        raise InvalidArgument(
            "a snapshot is immutable, so it cannot be loaded shared; load it private (writes "
            "stay your own) or readonly"
        )
    return mode
