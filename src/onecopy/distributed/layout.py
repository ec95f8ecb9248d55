"""Which entries a checkpoint consists of, and what makes it one thing.

    <prefix>/.part-<16 hex digits>    a list of tensors and buffers, saved by one rank
    <prefix>/.metadata                names the parts; a checkpoint exists when this does

Part names are drawn at random, so that a new checkpoint never touches the parts of the one it
replaces. Whoever publishes or clears away holds the lock named as the metadata entry: a save that
begins while another one is under way takes that one's parts away, and the other notices before
it publishes.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import EntryNotFound, InvalidArgument
from onecopy.store.names import NAME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onecopy.store.client import Store
    from onecopy.store.lock import Lock

_PART: Final = "/.part-"
_METADATA: Final = "/.metadata"
_PREFIX_LIMIT: Final = NAME_LIMIT - len(_PART) - 16


def check_prefix(prefix: object) -> str:
    """Return a checkpoint's prefix: 1 to 232 bytes of UTF-8."""
    text = str(prefix)
    if not 0 < len(text.encode()) <= _PREFIX_LIMIT:
        raise InvalidArgument(
            f"the prefix {text[:40]!r} of a checkpoint must have 1 to {_PREFIX_LIMIT} bytes"
        )
    return text


def metadata_name(prefix: str) -> str:
    """Return the name of the entry that makes a checkpoint exist."""
    return prefix + _METADATA


def new_part_name(prefix: str) -> str:
    """Return a name that no part has had before."""
    return prefix + _PART + secrets.token_hex(8)


def lock(store: Store, prefix: str) -> Lock:
    """Return the lock under which checkpoints of this prefix are published and removed."""
    return store.lock(metadata_name(prefix))


def publish(store: Store, prefix: str, tree: dict[str, Any], *, overwrite: bool, pin: bool) -> None:
    """Make a checkpoint visible, if all of `tree["parts"]` are there, and drop the old one's.

    Those who have mapped the old parts keep them.
    """
    with lock(store, prefix):
        try:
            _check_complete(store, prefix, tree["parts"])
            store.save(metadata_name(prefix), tree, overwrite=overwrite, pin=pin)
        finally:
            sweep(store, prefix)


def _check_complete(store: Store, prefix: str, parts: list[str]) -> None:
    if None in store.stat(parts):
        raise EntryNotFound(
            f"a part of the checkpoint {prefix!r} is gone before it was complete: another save "
            "of this prefix began, or not all ranks use this store; save one after the other, "
            "from one host"
        )


def sweep(store: Store, prefix: str) -> None:
    """Remove parts that no metadata names: of saves that failed, and of replaced checkpoints.

    The caller holds the lock.
    """
    try:
        published = set(store.load(metadata_name(prefix))["parts"])
    except EntryNotFound:
        published = set()
    discard(store, (name for name in store.names(prefix + _PART) if name not in published))


def discard(store: Store, names: Iterable[str]) -> None:
    """Remove entries that others may remove at the same time."""
    for name in names:
        try:
            store.remove(name)
        except EntryNotFound:
            pass


def remove(store: Store, prefix: str) -> None:
    """Remove a checkpoint at once, and whatever unfinished saves of that prefix have left.

    Those who are loading it keep what they have mapped.

    Raises:
        EntryNotFound: there is neither.
    """
    check_prefix(prefix)
    with lock(store, prefix):
        names = [*store.names(prefix + _PART), *store.names(metadata_name(prefix))]
        if not names:
            raise EntryNotFound(f"no checkpoint {prefix!r} in store {store.name!r}")
        store.remove(names)
