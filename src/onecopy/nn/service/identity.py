"""What tells one model from another: by this, hosts find the process that has it already."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from onecopy._version import __version__
from onecopy.errors import EntryNotFound, ModelNotFound
from onecopy.nn.backends import registry
from onecopy.nn.service.messages import VERSION

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Source
    from onecopy.store.client import Store

_NBYTES = 16


def identity(source: Source, store: Store | None = None, content: str = "") -> str:
    """Return a digest of what a source means right now, and of what would load it.

    An entry that is overwritten, and a file that is changed, mean something else than before; so
    do other entries that the backend loads with it, a tokenizer above all.

    Args:
        source: the model.
        store: a handle of the source's store, if there is one already.
        content: for what a guest brought: a digest of its bytes.

    Raises:
        ModelNotFound: there is no such entry or file.
    """
    if source.foreign:
        what: Any = content
    elif source.entry:
        what = _entry(source, store)
    else:
        what = [_file(path) for path in source.files]
    backend = (source.backend, source.foreign, sorted(source.options.items()))
    code = (VERSION, __version__, sys.executable, sys.prefix)
    parts = msgspec.msgpack.encode((what, backend, code), enc_hook=str)
    return hashlib.blake2b(parts, digest_size=_NBYTES).hexdigest()


def _file(path: str) -> tuple[Any, ...]:
    try:
        real = Path(path).resolve(strict=True)
        status = real.stat()
    except OSError as error:
        raise ModelNotFound(f"there is no model in {path}: {error.strerror}") from None
    return str(real), status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _entry(source: Source, store: Store | None) -> tuple[Any, ...]:
    if os.sep in source.store:
        return _of_snapshot(source)
    if store is None or store.name != source.store:
        from onecopy.store.launch import connect

        with connect(source.store, timeout=0) as opened:
            return _of_store(source, opened)
    return _of_store(source, store)


def _of_store(source: Source, store: Store) -> tuple[Any, ...]:
    found = _found(store, source.entry)
    if not found:
        raise ModelNotFound(f"no entry {source.entry!r} in store {source.store!r}: save it there")
    beside = getattr(registry.find(source.backend), "beside", _nothing)(source)
    return source.store, source.entry, found, [_found(store, each) for each in beside]


def _found(store: Store, entry: str) -> tuple[int, ...]:
    found = store._entries.find(entry)
    return (found.generation, found.ino, found.size, found.modified) if found else ()


def _nothing(_: Source) -> tuple[str, ...]:
    return ()


def _of_snapshot(source: Source) -> tuple[Any, ...]:
    from onecopy.store.snapshot import open as open_snapshot

    try:
        with open_snapshot(source.store) as opened:
            stat = opened.stat(source.entry)
    except EntryNotFound as error:
        raise ModelNotFound(str(error)) from None
    return *_file(source.store), source.entry, stat.created, stat.nbytes
