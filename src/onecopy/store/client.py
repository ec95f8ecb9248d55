"""The `Store` that users hold."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from onecopy.errors import EntryNotFound, InvalidArgument
from onecopy.extras import require
from onecopy.store import messages, shards
from onecopy.store.connection import Connection
from onecopy.store.deadline import Deadline
from onecopy.store.entries import Entries
from onecopy.store.index.reader import Busy
from onecopy.store.loader import ABSENT
from onecopy.store.lock import Lock
from onecopy.store.manifest import Manifest
from onecopy.store.names import check_name
from onecopy.store.ref import Ref
from onecopy.store.runtime import Place
from onecopy.store.saving import Options, prepare
from onecopy.store.watch import Watch
from onecopy.tensors import codec as codecs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from onecopy.models.pointing import Incompatible
    from onecopy.segments.mapping import Mode
    from onecopy.store.messages import EntryStat, StoreStats
    from onecopy.tensors.arena import Arena

_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def all_stores() -> list[Store]:
    """Return this process's handles of stores."""
    return list(_stores)


def _forget_sessions() -> None:
    """In a forked child: connections, caches and locks are the parent's."""
    for store in list(_stores):
        store._after_fork()


os.register_at_fork(after_in_child=_forget_sessions)


class Store:
    """A key-value store of tensors, shared with every process of this user on this host.

    Get one from `onecopy.start` or `onecopy.connect`. It may be used by many threads, passed
    to child processes (it pickles, and works after a fork), and used as a context manager.

        >>> import onecopy, torch
        >>> with onecopy.start("example", capacity="64MiB") as store:
        ...     store.save("weights", {"w": torch.ones(2, 2)})
        ...     store.load("weights")["w"].sum()
        tensor(4.)
    """

    def __init__(
        self,
        name: str,
        *,
        timeout: float = 30,
        direct: bool | None = None,
        base: Path | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        self._stop = stop
        self._connection = Connection(Place(name, base), direct, Deadline(timeout))
        self._entries = Entries(self._connection)
        codecs.prepare()
        _stores.add(self)

    @property
    def name(self) -> str:
        """The store's name."""
        return self._connection.place.name

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._connection.live().pid

    @property
    def _directory(self) -> str:
        """Where the daemon keeps entries as files; empty if they are memory."""
        return self._connection.live().directory

    def _after_fork(self) -> None:
        self._connection.after_fork()
        self._stop = None

    # ---- saving and loading ----

    def save(
        self,
        name: str,
        value: Any,
        *,
        ttl: float | None = None,
        mutable: bool = False,
        overwrite: bool = False,
        pin: bool = False,
        align: int = 64,
        progress: Callable[[int], None] | None = None,
        shard: shards.Shard | None = None,
    ) -> None:
        """Save a value under a name; its bytes are copied once.

        Args:
            name: 1 to 255 bytes of UTF-8; `/` is just a character.
            value: a tensor, an array, a buffer, anything with DLPack, a torch module (see
                `save_module`), or a nested dict, list or tuple of them, with str, int, float,
                bool and None beside. Views that share memory are stored once, and share it
                after a load.
            ttl: seconds that it lives after its last user has left; None is for ever.
            mutable: whether loaders may write into it, seen by all. Otherwise it is immutable.
            overwrite: replace an entry of that name atomically; those who hold it keep it.
            pin: never evict it.
            align: where in its segment each tensor begins, in bytes: a power of two. Tensors
                for Wasm guests need 4096.
            progress: called with the number of bytes written, now and then.
            shard: `(rank, world_size)`: this is one part of a value that so many save, each a
                part of its own. It exists once all parts are there, and is never evicted.

        Raises:
            EntryExists: the name is taken, and `overwrite` is False.
            StoreFull: no room, and nothing that may be evicted. Nothing has changed.
            UnsupportedValue: something in the value cannot be stored; the text says where.
        """
        _check_align(align)
        if shard is not None:
            how = {"ttl": ttl, "mutable": mutable, "align": align, "progress": progress}
            shards.save(self, name, value, shard, overwrite=overwrite, **how)
            return
        options = Options(name, ttl, mutable, overwrite, pin, align)
        connection = self._connection
        saving = prepare(value, options, connection.session or connection.live(), progress)
        replaces_shards = overwrite and shards.find(self, name) is not None
        connection.use(saving)
        if replaces_shards and type(value) is not Manifest:
            shards.sweep(self, name)

    def import_checkpoint(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        overwrite: bool = False,
        pin: bool = False,
        ttl: float | None = None,
    ) -> str:
        """Make a safetensors checkpoint an entry without reading it: its files are mapped.

        It loads as one dict, also if it has several files. It costs no memory but the page
        cache, and no room of the store's. Replace such files by renaming, never write into
        them: a load then says that they were changed. Only a file whose tensors are not
        aligned, as old writers made them, is copied into the store.

        Args:
            path: a `.safetensors` file, an index (`.safetensors.index.json`), or a directory
                with either.
            name: what to call it; by default as the file or directory is called.
            overwrite: replace an entry of that name; those who hold it keep it.
            pin: never evict it.
            ttl: seconds that it lives after its last user has left.

        Returns:
            The entry's name.

        Raises:
            CorruptEntry: a file is no safetensors file, or one is missing.
            UnsupportedValue: torch has no dtype for a tensor.
        """
        from onecopy.store.importing import Options, import_checkpoint

        return import_checkpoint(self, Path(path), name, Options(overwrite, pin, ttl))

    @overload
    def load(
        self,
        name: str,
        *,
        timeout: float = 0,
        mode: Mode | None = None,
        shard: shards.Shard | None = None,
    ) -> Any: ...

    @overload
    def load(
        self, name: Sequence[str], *, timeout: float = 0, mode: Mode | None = None
    ) -> list[Any]: ...

    def load(
        self,
        name: str | Sequence[str],
        *,
        timeout: float = 0,
        mode: Mode | None = None,
        shard: shards.Shard | None = None,
    ) -> Any:
        """Load an entry, or a list of entries, without copying: views of the saved bytes.

        Args:
            name: a name, or several; several are loaded under one deadline, into a list.
            timeout: how long to wait for entries that do not exist yet: 0 not at all, -1 for
                ever, else seconds.
            mode: `"private"` (the default): what you write stays your own, and a later load
                gives what was saved. `"readonly"`: a write is a segmentation fault; for
                debugging, and the fastest source of copies to a GPU. `"shared"`: writes are
                seen by all; for entries saved with `mutable=True`, whose default it is.
            shard: `(rank, world_size)`, to load one part of what was saved so. Without it, such
                a value is the list of all parts.

        Raises:
            EntryNotFound: there is no such entry, and the timeout is 0.
            WaitTimeout: it did not appear in time.
            StoreUnavailable: the store is not running.
        """
        if isinstance(name, str):
            if shard is not None:
                return shards.load_shard(self, name, shard, timeout, mode)
            loader = self._connection.loader
            if loader is not None:
                try:
                    value = loader.load(name, mode)
                except Busy:
                    value = ABSENT
                if type(value) is Manifest:
                    return shards.load_all(self, name, value, mode)
                if value is not ABSENT:
                    return value
            return self._load_all([name], timeout, mode)[0]
        return self._load_all(list(name), timeout, mode)

    def _load_all(self, names: list[str], timeout: float, mode: Mode | None) -> list[Any]:
        values = self._entries.load(names, timeout, mode)
        return [
            shards.load_all(self, name, value, mode) if type(value) is Manifest else value
            for name, value in zip(names, values, strict=True)
        ]

    def storage(self) -> Arena:
        """Allocate in the store: what torch makes on the CPU in this block, in this thread.

            with store.storage():
                model = build()
            store.save("model", model.state_dict())      # copies nothing

        What is saved becomes immutable for all others, and stays usable here: later writes are this
        process's own. What is never saved is freed as usual. docs/storage.md says what is captured.

        A store in a directory, or with a group of readers, copies at the save as ever.
        """
        require("torch")
        from onecopy.tensors.arena import Arena

        capacity = self.stats().capacity
        return Arena(2 * capacity, f"onecopy-arena:{self.name}")

    def snapshot(
        self,
        path: str | os.PathLike[str],
        names: str | Sequence[str] | None = None,
        *,
        overwrite: bool = False,
        sync: bool = True,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write entries to disk, to be opened by `onecopy.open`, or by any safetensors reader.

        It appears at once, when it is complete and on the disk. Entries that somebody saves or
        removes meanwhile may be in it or not; each that is in it is whole, but for mutable ones,
        which are copied as they are: lock them if that matters.

        Args:
            path: what to write; it must not exist, nor will there ever be half of it.
            names: one name makes a single file. Several, or None for all, make a directory.
            overwrite: replace a file, or a snapshot, that is there already, at once.
            sync: whether to wait until the disk has it. Otherwise it is as fast as `cp`, and
                promises as little: after a power failure files may be short, which `open` says.
            progress: called with the number of bytes written, now and then.

        Raises:
            EntryExists: there is something at `path`, and `overwrite` is False.
            StoreFull: the disk is full. Nothing is left there.
        """
        from onecopy.store.snapshotting import Writer

        advance = progress or (lambda _: None)
        writer = Writer(self, overwrite=overwrite, sync=sync, advance=advance)
        if isinstance(names, str):
            writer.write_file(Path(path), names)
        else:
            writer.write_folder(Path(path), names)

    # ---- what there is ----

    def contains(self, name: str) -> bool:
        """Say whether an entry of that name exists."""
        return self._entries.find(name) is not None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.contains(name)

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all entries that start with `prefix`, sorted."""
        return self._entries.names(prefix)

    def remove(self, name: str | Iterable[str]) -> None:
        """Remove an entry, or several: all or none. Those who hold one keep it.

        Raises:
            EntryNotFound: one of them does not exist.
        """
        names = [name] if isinstance(name, str) else list(name)
        for each in names:
            check_name(each)
        with shards.with_parts(self, names) as entries:
            self._connection.ask(messages.Remove(self._entries.with_parts(entries)))

    @overload
    def stat(self, name: str) -> EntryStat: ...  # type: ignore[overload-overlap]  # str is one

    @overload
    def stat(self, name: Sequence[str]) -> list[EntryStat | None]: ...

    def stat(self, name: str | Sequence[str]) -> Any:
        """Return facts about an entry; of a list, None for those that do not exist.

        Raises:
            EntryNotFound: there is no entry of that one name.
        """
        if not isinstance(name, str):
            return self._stat_all(list(name))
        (entry,) = self._stat_all([name])
        if entry is None:
            raise EntryNotFound(
                f"no entry {name!r} in store {self.name!r}; names() or `onecopy ls` lists what "
                "there is"
            )
        return entry

    def _stat_all(self, names: list[str]) -> list[EntryStat | None]:
        return shards.with_totals(self, self._entries.stat(names))

    def stats(self) -> StoreStats:
        """Return facts about the store."""
        stats: StoreStats = self._connection.ask(messages.GetStats()).stats
        return stats

    # ---- modules ----

    def save_module(self, name: str, module: Any, **options: Any) -> None:
        """Save a `torch.nn.Module`: its weights, and all that is needed to rebuild it.

        `save` does the same with a module, alone or within dicts and lists. Nothing is pickled:
        docs/models.md says what may hang in a module. Gradients are not saved.

        Args:
            name: as for `save`, and so are the options.
            module: on the CPU, without hooks, of classes of torch or transformers, or allowed
                with `torch.serialization.add_safe_globals`.

        Raises:
            UnsupportedValue: it could not be rebuilt; the text says what is in the way.
        """
        from onecopy.models import sharing

        sharing.save_module(self, name, module, **options)

    def load_module(self, name: str, *, timeout: float = 0, mode: Mode | None = None) -> Any:
        """Load a whole module: no weight is copied, no buffer computed, no `__init__` run.

        In-place updates stay this process's own, unless the entry is mutable; `timeout` and
        `mode` are as for `load`.

        Raises:
            UnsupportedValue: its class is not allowed here, or not there.
            InvalidArgument: the entry is no module.
        """
        from onecopy.models import sharing

        return sharing.load_module(self, name, timeout=timeout, mode=mode)

    def load_into(
        self,
        module: Any,
        name: str,
        strict: bool = True,
        *,
        timeout: float = 0,
        mode: Mode | None = None,
    ) -> Incompatible:
        """Make a module's parameters and buffers those of an entry, without copying.

        They stay the same objects, so optimizers and ties keep their meaning; a module on the
        meta device gets its weights so, too.

        Args:
            module: on the CPU or the meta device.
            name: of a saved module, of any class, or a dict of tensors such as a state dict.
            strict: whether missing and unexpected names are an error.
            timeout: as for `load`.
            mode: as for `load`.

        Returns:
            The missing and the unexpected names, as `load_state_dict` does.

        Raises:
            WeightsMismatch: names, shapes or dtypes differ; the text lists all, and nothing
                has changed.
        """
        from onecopy.models import sharing

        return sharing.load_into(self, module, name, strict, timeout=timeout, mode=mode)

    def adopt(self, module: Any, name: str, **options: Any) -> None:
        """Save a module's state dict, and point the module at it: its memory exists once.

        Others get at it with `load_into`. The options are those of `save`; with `mutable=True`
        this module and theirs train the same weights.
        """
        from onecopy.models import sharing

        sharing.adopt(self, module, name, **options)

    # ---- coordination ----

    def watch(self, prefix: str = "", *, timeout: float = -1) -> Watch:
        """Watch entries whose names start with `prefix`, from now on.

        for event in store.watch("models/", timeout=60):
            print(event.kind, event.name)
        """
        return self._connection.own_channel(lambda channel: Watch(channel, prefix, timeout))

    def lock(self, name: str | None = None, *, shared: bool = False, timeout: float = -1) -> Lock:
        """Return an advisory lock on a name (which need not exist) or on the whole store.

            with store.lock("models/llama", timeout=10):
                ...

        Args:
            name: None is the store's own lock, which the locks on names do not imply.
            shared: whether others may hold it shared at the same time.
            timeout: seconds to wait for it, 0 not at all, -1 for ever.
        """
        if name is not None:
            check_name(name)
        Deadline(timeout)
        return Lock(self._connection, name, shared=shared, timeout=timeout)

    def ref(self, name: str) -> Ref:
        """Return a small picklable reference to an entry, which need not exist yet."""
        check_name(name)
        return Ref(self, name)

    # ---- the end ----

    def close(self) -> None:
        """Close this handle, and stop the store if it was started here; twice is fine.

        Loaded tensors stay valid.
        """
        self._connection.close()
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reconnect, (self.name, self._connection.place.base, self._connection.direct)

    def __repr__(self) -> str:
        return f"<onecopy store {self.name!r}{' (closed)' if self._connection.closed else ''}>"


def _reconnect(name: str, base: Path, direct: bool | None) -> Store:
    """Unpickle a store: connect to it, in this process."""
    return Store(name, direct=direct, base=base)


def _check_align(align: int) -> None:
    if not isinstance(align, int) or align < 64 or align > 1 << 21 or align & (align - 1):
        raise InvalidArgument(f"align must be a power of two from 64 to 2097152, not {align!r}")
