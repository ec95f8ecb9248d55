"""The entries of a store as its daemon has them: of a value saved in shards, the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from onecopy.errors import EntryNotFound, WaitTimeout
from onecopy.store import messages, wire
from onecopy.store.connection import NOW, Connection
from onecopy.store.deadline import Deadline
from onecopy.store.index.reader import Busy
from onecopy.store.loader import ABSENT
from onecopy.store.names import HIDDEN, check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from onecopy.segments.mapping import Mode
    from onecopy.store.index.reader import IndexReader
    from onecopy.store.index.slot import Found
    from onecopy.store.loader import Loader
    from onecopy.store.messages import EntryStat

_T = TypeVar("_T")


class Entries:
    """What there is, and how to get at it, by one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load(self, names: list[str], timeout: float, mode: Mode | None) -> list[Any]:
        """Load entries, those that do not exist yet within `timeout` seconds, all together.

        Raises:
            EntryNotFound, WaitTimeout: one of them does not exist.
        """
        deadline = NOW if timeout == 0 else Deadline(timeout)
        values: dict[str, Any] = dict.fromkeys(names, ABSENT)
        missing = names
        while True:
            session, loader = self._connection.live_loader(deadline)
            for name in missing:
                values[name] = self._load_one(loader, name, mode)
            missing = [name for name in missing if values[name] is ABSENT]
            if not missing:
                return [values[name] for name in names]
            if session.usable:
                self._await(missing, deadline, timeout)

    def _load_one(self, loader: Loader, name: str, mode: Mode | None) -> Any:
        try:
            return loader.load(name, mode)
        except Busy:
            # The daemon is in the middle of writing this slot. When it answers, it is through.
            self._connection.ask(messages.Stat([name]))
            return ABSENT

    def _await(self, names: list[str], deadline: Deadline, timeout: float) -> None:
        store = self._connection.place.name
        if timeout == 0:
            raise EntryNotFound(
                f"no entry {names[0]!r} in store {store!r}; names() lists what there is, and "
                "timeout= waits for what is to come"
            )
        for start in range(0, len(names), wire.BATCH):
            wait = messages.Wait(names[start : start + wire.BATCH])
            if self._connection.wait(wait, deadline, deadline)[0] is None:
                raise WaitTimeout(
                    f"{names[0]!r} did not appear in store {store!r} within {timeout:g} s"
                )

    def open(self, name: str) -> tuple[int, Found]:
        """Open an entry's segment, to copy it elsewhere.

        Returns a descriptor, which the caller closes, and what the index says. Until it is
        closed the entry is in use.
        """
        while True:
            session, loader = self._connection.live_loader()
            try:
                opened = loader.open(name)
            except Busy:
                self._connection.ask(messages.Stat([name]))
                continue
            if opened is not None:
                return opened
            if session.usable:
                raise EntryNotFound(
                    f"no entry {name!r} in store {self._connection.place.name!r}; "
                    "names() or `onecopy ls` lists what there is"
                )

    def find(self, name: str) -> Found | None:
        """Return what the index says about an entry; None if there is none of that name."""
        key = check_name(name)
        return self._read(lambda view: view.find(key))

    def names(self, prefix: str) -> list[str]:
        """Return all names that start with a prefix, sorted; hidden ones only if it is one."""
        wanted, hidden = prefix.encode(), HIDDEN.encode()
        keys = self._read(lambda view: [record.key for record in view.records()])
        if not wanted.startswith(hidden):
            keys = [key for key in keys if not key.startswith(hidden)]
        return sorted(key.decode() for key in keys if key.startswith(wanted))

    def _read(self, read: Callable[[IndexReader], _T]) -> _T:
        while True:
            session = self._connection.live()
            try:
                result = read(session.index)
            except Busy:
                self._connection.ask(messages.GetStats())
                continue
            if session.usable:
                return result

    def with_parts(self, names: Iterable[str]) -> list[str]:
        """Return these names, and after each those of its parts, if it was put together of some."""
        result: list[str] = []
        for name in names:
            found = self.find(name)
            result.append(name)
            if found is not None and found.parts:
                _, loader = self._connection.live_loader()
                result += [each for each in loader.parts(name) if self.find(each) is not None]
        return result

    def stat(self, names: list[str]) -> list[EntryStat | None]:
        """Return facts about entries; None for those that do not exist."""
        for each in names:
            check_name(each)
        found: list[EntryStat | None] = []
        for start in range(0, len(names), wire.BATCH):
            found += self._connection.ask(messages.Stat(names[start : start + wire.BATCH])).entries
        return found
