"""Entries of a store by name, to read: `entries` of the WIT."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from onecopy.agents.calls import (
    FAILED,
    INVALID,
    NOT_FOUND,
    NOT_GRANTED,
    TOO_LARGE,
    UNAVAILABLE,
    Refused,
)
from onecopy.agents.grants.arguments import checked
from onecopy.errors import (
    CorruptEntry,
    EntryNotFound,
    InvalidArgument,
    OnecopyError,
    UnsupportedValue,
)
from onecopy.store.names import HIDDEN

if TYPE_CHECKING:
    from onecopy.agents.manifest.grants import EntriesGrant

READ_BYTES: Final = 1 << 20
"""The most that an entry's text, its description, or a list of names may have."""

_FUNCTIONS: Final = {"names": tuple[str], "describe": tuple[str], "read": tuple[str]}


class Reader(Protocol):
    """A `Store` or a `Snapshot`, of which nothing but this is used."""

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all entries that start with `prefix`."""

    def load(self, name: str, *, mode: Any) -> Any:
        """Load an entry."""


class Entries:
    """What one agent may read of a store (a `Capability`).

        entries = Entries(manifest.grants.entries, onecopy.connect("docs"))
        await entries.call("read", ["docs/greeting"])

    Args:
        grant: `[grants.entries]` of the manifest.
        store: a store or a snapshot.
    """

    def __init__(self, grant: EntriesGrant, store: Reader) -> None:
        self._patterns = tuple(grant.names)
        self._store = store

    async def call(self, function: str, arguments: list[Any]) -> Any:
        """Carry out `names`, `describe` or `read`.

        Raises:
            Refused: `not-granted`; `not-found`, also of what was removed; `invalid` for what is no
                text; `too-large`; `unavailable` if the store does not answer.
        """
        (name,) = checked(_FUNCTIONS, function, arguments)
        work: dict[str, Callable[[str], Any]] = {
            "names": self._names,
            "describe": self._describe,
            "read": self._read,
        }
        return await asyncio.to_thread(_plain, work[function], name)

    def _is_granted(self, name: str) -> bool:
        return not name.startswith(HIDDEN) and any(
            fnmatchcase(name, pattern) for pattern in self._patterns
        )

    def _names(self, prefix: str) -> list[str]:
        found = [name for name in self._store.names(prefix) if self._is_granted(name)]
        if sum(map(len, found)) > READ_BYTES:
            raise Refused(TOO_LARGE, "there are too many names for one list; give a longer prefix")
        return found

    def _load(self, name: str) -> Any:
        if not self._is_granted(name):
            quoted = msgspec.json.encode(name).decode()
            raise Refused(
                NOT_GRANTED,
                f"the entry {name!r} is not granted; add to agent.toml: [grants.entries] "
                f"names = [{quoted}]",
            )
        return self._store.load(name, mode="readonly")

    def _describe(self, name: str) -> str:
        found = msgspec.json.encode(described(self._load(name)))
        return _bounded(found.decode(), f"the description of {name!r}")

    def _read(self, name: str) -> str:
        return _bounded(_text(name, self._load(name)), f"the entry {name!r}")


def described(value: Any) -> dict[str, Any]:
    """Return what a value of a store is, without what is in it.

    >>> described({"greeting": "hello", "count": 2})["items"]["greeting"]
    {'kind': 'text', 'characters': 5}
    """
    match value:
        case None | bool() | int() | float():
            return {"kind": "value", "value": value}
        case str():
            return {"kind": "text", "characters": len(value)}
        case bytes() | memoryview():
            return {"kind": "bytes", "nbytes": memoryview(value).nbytes}
        case dict():
            return {"kind": "dict", "items": {str(k): described(v) for k, v in value.items()}}
        case list() | tuple():
            return {"kind": "list", "items": [described(each) for each in value]}
        case _ if hasattr(value, "dtype") and hasattr(value, "shape"):
            dtype = str(value.dtype).removeprefix("torch.")
            return {"kind": "tensor", "dtype": dtype, "shape": list(value.shape)}
        case _:
            return {"kind": "object", "class": type(value).__qualname__}


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | memoryview):
        if memoryview(value).nbytes > READ_BYTES:
            return _bounded(" " * (READ_BYTES + 1), f"the entry {name!r}")
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise Refused(INVALID, f"the entry {name!r} is bytes that are no UTF-8") from None
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, RecursionError):
        raise Refused(
            INVALID,
            f"the entry {name!r} has tensors or other values that are no JSON; describe() tells "
            "their types and shapes",
        ) from None


def _bounded(text: str, what: str) -> str:
    # Text has at most four bytes a character: most are short enough without being encoded.
    if len(text) * 4 > READ_BYTES and len(text.encode()) > READ_BYTES:
        raise Refused(TOO_LARGE, f"{what} has more than {READ_BYTES} bytes")
    return text


def _plain(work: Callable[[str], Any], name: str) -> Any:
    """Return what `work` does, or refuse what a store says that it cannot do."""
    try:
        return work(name)
    except EntryNotFound as error:
        raise Refused(NOT_FOUND, str(error)) from error
    except InvalidArgument as error:
        raise Refused(INVALID, str(error)) from error
    except (CorruptEntry, UnsupportedValue) as error:
        raise Refused(FAILED, f"the entry {name!r} cannot be read: {error}") from error
    except OnecopyError as error:
        raise Refused(UNAVAILABLE, f"the store does not answer: {error}") from error
