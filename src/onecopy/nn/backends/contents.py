"""The bytes of a model that a library takes whole: from files, a guest, or entries of a store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onecopy.errors import EntryNotFound, InvalidModel, ModelNotFound, StoreUnavailable
from onecopy.nn.backends.backend import Source
from onecopy.nn.backends.registry import files_of

if TYPE_CHECKING:
    from onecopy import Store
    from onecopy.nn.backends.backend import Array
    from onecopy.store.snapshot import Snapshot


def contents_of(source: Source, least: int, most: int, what: str) -> list[Array]:
    """Return each part of a model as an array of bytes, in the order of a guest's builders.

    An entry's are the store's pages. What a guest brought is read: it could change it meanwhile.

    Raises:
        ModelNotFound: there is no such entry or file.
        InvalidModel: it has too few or too many parts, or an entry holds no bytes.
    """
    import numpy as np

    if not source.entry:
        return [np.fromfile(path, np.uint8) for path in files_of(source.files, least, most, what)]
    if source.foreign:
        raise InvalidModel("a guest brings bytes, not entries of a store")
    value = load_entry(source)
    parts = [_bytes_of(part) for part in (value if isinstance(value, (list, tuple)) else [value])]
    if not least <= len(parts) <= most:
        raise InvalidModel(f"{what}; the entry {source.entry!r} has {len(parts)} parts")
    return parts


def load_entry(source: Source) -> Any:
    """Return what an entry holds.

    Raises:
        ModelNotFound: there is no such entry, or no such store.
    """
    with store_of(source) as store:
        return store.load(source.entry)


@contextmanager
def store_of(source: Source) -> Iterator[Store | Snapshot]:
    """Open the store or snapshot of a source; what is not there is a model that is not there.

    Raises:
        ModelNotFound: there is no such entry, or no such store.
    """
    try:
        with _opened(source.store) as store:
            yield store
    except EntryNotFound as error:
        raise ModelNotFound(f"no entry {source.entry!r} in {source.store!r}") from error
    except StoreUnavailable as error:
        raise ModelNotFound(f"the store {source.store!r} is not there: {error}") from error


def _opened(name: str) -> Store | Snapshot:
    """Open a snapshot, if it is a path: stores have no slash in their names."""
    import onecopy

    if os.sep not in name:
        return onecopy.connect(name, timeout=0)
    if not Path(name).exists():
        raise ModelNotFound(f"there is no snapshot {name}")
    return onecopy.open(name)


def _bytes_of(value: Any) -> Array:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.itemsize != 1 or array.ndim != 1:
        raise InvalidModel("the entry holds no file: save its bytes, or an u8 tensor of them")
    return np.ascontiguousarray(array).view(np.uint8)


def path_of(source: Source, what: str) -> Path | None:
    """Return the path of a host's own file, for a library that maps it; None for anything else.

    Raises:
        ModelNotFound: there is no such file.
        InvalidModel: there is more than one, or it is no file.
    """
    if source.entry or source.foreign:
        return None
    (path,) = files_of(source.files, 1, 1, what)
    return path
