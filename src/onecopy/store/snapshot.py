"""Entries in files, opened without a daemon: `onecopy.open`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from onecopy.errors import StoreClosed
from onecopy.store import shards
from onecopy.store.entry_file import check_mode
from onecopy.store.folder import Files, open_files
from onecopy.store.manifest import Manifest
from onecopy.store.names import HIDDEN, check_name
from onecopy.store.parts import Parts, merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.segments.mapping import Mode
    from onecopy.store.messages import EntryStat


def open(path: str | os.PathLike[str]) -> Snapshot:  # as in `onecopy.open`
    """Open a snapshot, a single entry's file, or the directory of a store, to read.

    No daemon is needed, and none is asked: any number of processes and containers map the
    same files, and share the page cache.

        >>> import onecopy, tempfile, torch
        >>> path = tempfile.mkdtemp() + "/models"
        >>> with onecopy.start("example", capacity="64MiB") as store:
        ...     store.save("ones", torch.ones(2))
        ...     store.snapshot(path)
        >>> onecopy.open(path).load("ones")
        tensor([1., 1.])

    Raises:
        InvalidArgument: there is nothing of the kind at `path`.
        CorruptEntry: a file of the snapshot is missing or cut, as after a copy that was
            interrupted; or it is no safetensors file.
    """
    return Snapshot(Path(path))


class Snapshot:
    """Entries in files, to read; get one from `onecopy.open`.

    It loads as a `Store` does, may be used by many threads, pickles, and works after a fork.
    """

    def __init__(self, path: Path) -> None:
        self._files: Files | None = None
        self.path = path.absolute()
        self._files = open_files(self.path)

    def _live(self) -> Files:
        if self._files is None:
            raise StoreClosed(f"this handle of {self.path} was closed; open it again")
        return self._files

    @overload
    def load(self, name: str, *, mode: Mode | None = None) -> Any: ...

    @overload
    def load(self, name: Sequence[str], *, mode: Mode | None = None) -> list[Any]: ...

    def load(self, name: str | Sequence[str], *, mode: Mode | None = None) -> Any:
        """Load an entry, or a list of entries, without copying: views of the file.

        Args:
            name: a name, or several, which are loaded into a list.
            mode: `"private"` (the default): what you write stays your own. `"readonly"`: a
                write is a segmentation fault. `"shared"` is for stores.

        Raises:
            EntryNotFound: there is no such entry.
            CorruptEntry: its file is damaged, or is not one of ours.
        """
        check_mode(mode)
        if not isinstance(name, str):
            return [self._load(each, mode) for each in name]
        return self._load(name, mode)

    def _load(self, name: str, mode: Mode | None) -> Any:
        value = self._live().load(name, mode)
        if type(value) is Manifest:
            return [self._load(part, mode) for part in shards.parts_of(name, value)]
        if not isinstance(value, Parts):
            return value
        return merge(value, lambda part: self._load(part, mode))

    def contains(self, name: str) -> bool:
        """Say whether an entry of that name exists."""
        check_name(name)
        return self._live().contains(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.contains(name)

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all entries that start with `prefix`, sorted."""
        hidden = not prefix.startswith(HIDDEN)
        names = (each for each in self._live().names() if each.startswith(prefix))
        return sorted(each for each in names if not (hidden and each.startswith(HIDDEN)))

    @overload
    def stat(self, name: str) -> EntryStat: ...  # type: ignore[overload-overlap]  # str is one

    @overload
    def stat(self, name: Sequence[str]) -> list[EntryStat | None]: ...

    def stat(self, name: str | Sequence[str]) -> Any:
        """Return facts about an entry; of a list, None for those that do not exist."""
        if isinstance(name, str):
            return self._live().stat(name)
        return [self._live().stat(each) if self.contains(each) else None for each in name]

    def close(self) -> None:
        """Close this handle; twice is fine. Loaded tensors stay valid."""
        files, self._files = self._files, None
        if files is not None:
            files.close()

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Snapshot], tuple[Path]]:
        return Snapshot, (self.path,)

    def __repr__(self) -> str:
        return f"<onecopy snapshot {str(self.path)!r}{'' if self._files else ' (closed)'}>"
