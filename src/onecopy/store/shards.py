"""Values that several processes save in parts, under one name: `save(..., shard=(rank, size))`.

    <name>                                                     the manifest
    __onecopy/shards/<name>/<generation>/<rank>-of-<size>      the parts

Parts are ordinary entries with hidden names. Whoever saves the last missing one publishes the
manifest; from then on the value exists, as a whole. This is a composition of public operations:
the daemon knows nothing of it. docs/design/shards.md says why it is right, and where it ends.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import EntryExists, EntryNotFound, InvalidArgument
from onecopy.store.manifest import Manifest, parse
from onecopy.store.names import HIDDEN, NAME_LIMIT, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from onecopy.segments.mapping import Mode
    from onecopy.store.client import Store
    from onecopy.store.lock import Lock
    from onecopy.store.messages import EntryStat

_FOLDER: Final = f"{HIDDEN}shards/"
# Room for a generation, and for two numbers of up to ten digits.
_SUFFIX_LIMIT: Final = 48

Shard = tuple[int, int]
"""Rank and number of ranks."""


def save(
    store: Store, name: str, value: Any, shard: Shard, *, overwrite: bool, **options: Any
) -> None:
    """Save a part; publish the set if it was the last one that was missing."""
    rank, size = _check(name, shard, options)
    generation = _next_generation(store, name, overwrite)
    part = _part(name, generation, rank, size)
    try:
        store.save(part, value, **{**options, "pin": True})
        repeated = False
    except EntryExists:
        repeated = True
    with lock(store, name):
        try:
            # Also if this part was there: who saved the last one may have died before it did this.
            complete = _publish_if_complete(
                store, name, generation, size, overwrite=overwrite, mutable=options["mutable"]
            )
        except BaseException:
            _discard(store, [] if repeated else [part])
            raise
    if repeated:
        raise _exists(name) if complete else _waits(name, rank, size)


def _check(name: str, shard: Shard, options: dict[str, Any]) -> Shard:
    if options["ttl"] is not None:
        raise InvalidArgument(
            f"the shards of {name!r} would expire one by one; save them without a ttl, and remove "
            "them when they are done"
        )
    if len(check_name(name)) > NAME_LIMIT - len(_FOLDER) - _SUFFIX_LIMIT:
        raise InvalidArgument(
            f"{name[:40]!r} is too long for a sharded value; its name may have "
            f"{NAME_LIMIT - len(_FOLDER) - _SUFFIX_LIMIT} bytes"
        )
    return check_shard(shard)


def check_shard(shard: object) -> Shard:
    """Return a rank and the number of ranks, once they are that."""
    if isinstance(shard, tuple) and [type(each) for each in shard] == [int, int]:
        rank, size = shard
        if 0 <= rank < size < 1 << 32:
            return rank, size
    raise InvalidArgument(
        f"shard must be (rank, world_size) with 0 <= rank < world_size, not {shard!r}"
    )


def _next_generation(store: Store, name: str, overwrite: bool) -> int:
    if not overwrite and name in store:
        raise _exists(name)
    manifest = find(store, name)
    return 0 if manifest is None else manifest.generation + 1


def _exists(name: str) -> EntryExists:
    return EntryExists(f"{name!r} exists already; remove it first, or save with overwrite=True")


def _waits(name: str, rank: int, size: int) -> EntryExists:
    return EntryExists(
        f"shard {rank} of {size} of {name!r} waits for the others already; load {name!r} with a "
        "timeout to wait for them, or remove it to begin anew"
    )


def _publish_if_complete(
    store: Store, name: str, generation: int, size: int, *, overwrite: bool, mutable: bool
) -> bool:
    """Publish a set if all its parts are there, and say so. The caller holds the lock."""
    current = find(store, name)
    if current is not None and current[1:] == (generation, size):
        return True  # Two saved the last parts at the same time, and the other one published.
    parts = [_part(name, generation, rank, size) for rank in range(size)]
    try:
        superseded = _next_generation(store, name, overwrite) != generation
    except EntryExists:
        superseded = True
    if superseded:
        _discard(store, parts)
        raise EntryExists(f"{name!r} was saved by others while a shard of it was; save it again")
    if any(part not in store for part in parts):
        return False
    manifest = Manifest(secrets.token_hex(8), generation, size)
    store.save(name, manifest, overwrite=overwrite, pin=True, mutable=mutable)
    _sweep(store, name)
    return True


def _discard(store: Store, parts: list[str]) -> None:
    there = [part for part in parts if part in store]
    if there:
        store.remove(there)


def sweep(store: Store, name: str) -> None:
    """Remove the parts of `name` that no manifest names (any more)."""
    with lock(store, name):
        _sweep(store, name)


def _sweep(store: Store, name: str) -> None:
    manifest = find(store, name)
    kept = set() if manifest is None else set(parts_of(name, manifest))
    _discard(store, [part for part in _all_parts(store, name) if part not in kept])


# ---- names ----


def _part(name: str, generation: int, rank: int, size: int) -> str:
    return f"{_FOLDER}{name}/{generation}/{rank}-of-{size}"


def parts_of(name: str, manifest: Manifest) -> list[str]:
    """Return the names of the parts of a set, in the order of ranks."""
    _, generation, size = manifest
    return [_part(name, generation, rank, size) for rank in range(size)]


def _all_parts(store: Store, name: str) -> list[str]:
    """Return all parts of `name`, of any set; not those of names that continue it after a `/`."""
    folder = f"{_FOLDER}{name}"
    return [part for part in store.names(f"{folder}/") if part.rsplit("/", 2)[0] == folder]


def find(store: Store, name: str) -> Manifest | None:
    """Return the manifest of `name`, or None if it is not a sharded value, or does not exist."""
    found = store._entries.find(name)
    return None if found is None else parse(found)


def lock(store: Store, name: str) -> Lock:
    """Return the lock under which sets of `name` are published and removed.

    It is not `store.lock(name)`, which the caller may hold.
    """
    return store.lock(f"{_FOLDER}{name}")


# ---- loading ----


def load_shard(store: Store, name: str, shard: Shard, timeout: float, mode: Mode | None) -> Any:
    """Load one part of a value that as many ranks saved; wait for the whole if need be."""
    rank, size = check_shard(shard)
    while True:
        (manifest,) = store._entries.load([name], timeout, None)
        if type(manifest) is not Manifest:
            raise InvalidArgument(f"{name!r} was not saved in shards; load it without shard=")
        if manifest.world_size != size:
            raise InvalidArgument(
                f"{name!r} was saved in {manifest.world_size} shards, not {size}; load it without "
                "shard=, which gives the list of them, and cut that as you need it"
            )
        loaded = _load(store, name, manifest, [rank], mode)
        if loaded is not None:
            return loaded[0]


def load_all(store: Store, name: str, manifest: Manifest, mode: Mode | None) -> Any:
    """Load all parts, in the order of ranks; if they were replaced meanwhile, what is there now."""
    loaded = _load(store, name, manifest, range(manifest.world_size), mode)
    return store.load(name, mode=mode) if loaded is None else loaded


def _load(
    store: Store, name: str, manifest: Manifest, ranks: Iterable[int], mode: Mode | None
) -> list[Any] | None:
    """Load parts of one set, or return None if it is not the current one any more.

    Names of parts come back when `name` is removed and saved again. So it is the manifest, looked
    up once more after the loads, that vouches for what was loaded.
    """
    parts = parts_of(name, manifest)
    try:
        loaded = store.load([parts[rank] for rank in ranks], mode=mode)
    except EntryNotFound as error:
        if find(store, name) == manifest:
            raise EntryNotFound(
                f"a part of {name!r} was removed by its hidden name; remove {name!r}, and save it "
                "again"
            ) from error
        return None
    return loaded if find(store, name) == manifest else None


# ---- removing, facts ----


@contextmanager
def with_parts(store: Store, names: list[str]) -> Iterator[list[str]]:
    """Give the names of all entries to remove with `names`, and keep sets from changing meanwhile.

    A name under which only a part of a set was saved so far stands for those parts.
    """
    composed = sorted({name for name in names if _has_parts(store, name)})
    if not composed:
        yield names
        return
    with ExitStack() as locks:
        for name in composed:
            locks.enter_context(lock(store, name))
        parts = {name: _all_parts(store, name) for name in composed}
        own = [name for name in names if name in store or not parts.get(name)]
        yield own + [part for some in parts.values() for part in some]


def _has_parts(store: Store, name: str) -> bool:
    found = store._entries.find(name)
    # Only for a name that does not exist are parts searched for: that looks at every entry.
    return bool(_all_parts(store, name)) if found is None else parse(found) is not None


def with_totals(store: Store, entries: list[EntryStat | None]) -> list[EntryStat | None]:
    """Replace facts about manifests by facts about all of their parts together."""
    return [entry and _total(store, entry) for entry in entries]


def _total(store: Store, entry: EntryStat) -> EntryStat:
    manifest = find(store, entry.name)
    if manifest is None:
        return entry
    parts = [each for each in store.stat(parts_of(entry.name, manifest)) if each is not None]
    return msgspec.structs.replace(
        entry,
        nbytes=sum(part.nbytes for part in parts),
        resident=sum(part.resident for part in [entry, *parts]),
        in_use=any(part.in_use for part in parts),
        hits=sum(part.hits for part in parts),
        last_used=max(part.last_used for part in [entry, *parts]),
    )
