"""Sources of windows: where in which segment a tensor lies.

    source_of(store.load("weights"))             a tensor that was loaded, or saved from storage()
    source_of(store.ref("logits"), "rw")         an entry
    source_of(part(store.ref("model"), "w", 0))  a tensor of an entry that is a tree
    source_of(copy_of(heap_tensor))              one copy, when the guest is to have its own

What cannot be mapped is refused, with what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from onecopy.errors import InvalidArgument, WindowRefused
from onecopy.guests.windows.copied import copied
from onecopy.guests.windows.mapped import OR_COPY, mapped
from onecopy.guests.windows.source import ACCESSES, Access, Source

if TYPE_CHECKING:
    from onecopy.store.ref import Ref


class Part(NamedTuple):
    """A tensor of an entry that is a tree; made by `part`."""

    ref: Ref
    keys: tuple[Any, ...]


class Copied(NamedTuple):
    """A value that a guest gets a copy of; made by `copy_of`."""

    value: Any
    access: Access


def part(ref: Ref, *keys: Any) -> Part:
    """Name a tensor within an entry that is a dict, list or tuple: `part(ref, "layers", 0)`."""
    return Part(ref, keys)


def copy_of(value: Any, access: Access = "r") -> Copied:
    """Mark a value that a guest is to get a copy of: one copy, straight into its memory.

    Nobody else sees what is written to the copy, so each guest should be given one of its own.
    """
    return Copied(value, _check_access(access))


def sources_of(windows: Mapping[str, Any], *, copy: bool = False) -> dict[str, Source]:
    """Return the sources of several windows: values, or pairs of a value and its access.

    The caller closes them; if one is refused, none is left open.
    """
    if not isinstance(windows, Mapping):
        raise InvalidArgument(
            f"windows are a dict of names and values, not a {type(windows).__name__}: "
            '{"x": (value, "rw")}'
        )
    found: dict[str, Source] = {}
    try:
        for name, value in windows.items():
            # A pair whose second part is a text is meant as one, whatever the text is.
            pair = type(value) is tuple and len(value) == 2 and isinstance(value[1], str)
            given, access = cast("tuple[Any, Access]", value if pair else (value, "r"))
            found[name] = source_of(given, access, copy=copy)
    except BaseException:
        for each in found.values():
            each.close()
        raise
    return found


def source_of(value: Any, access: Access = "r", *, copy: bool = False) -> Source:
    """Return where a tensor lies, for windows of guests; close it when they are open.

    Args:
        value: a tensor, array or memoryview in a store's segment, a `store.ref(name)`, a
            `part(ref, *keys)`, a `copy_of(value)`, or anything with a method `window_source()`.
        access: `"r"`, or `"rw"` for mutable entries: others see at once what the guest writes.
        copy: whether to copy what cannot be mapped.

    Raises:
        WindowRefused: it cannot be mapped as it is; the text has the remedy.
        EntryNotFound: there is no such entry.
    """
    _check_access(access)
    if isinstance(value, Copied):
        return copied(_loaded(value.value, "r"), value.access)
    own = getattr(value, "window_source", None)
    if own is not None:
        source: Source = own()
        return source
    tensor = _loaded(value, access)
    try:
        return mapped(tensor, access)
    except WindowRefused:
        if not copy:
            raise
    return copied(tensor, access)


def _check_access(access: Access) -> Access:
    if access not in ACCESSES:
        raise InvalidArgument(f'a window\'s access is "r" or "rw", not {access!r}')
    return access


def _loaded(value: Any, access: Access) -> Any:
    """Return the tensor that a reference or a part names."""
    from onecopy.store.ref import Ref

    ref, keys = value if isinstance(value, Part) else (value, ())
    if not isinstance(ref, Ref):
        return value
    found = _load(ref, access)
    for key in keys:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            raise InvalidArgument(f"the entry {ref.name!r} has no part {keys!r}") from None
    return found


def _load(ref: Ref, access: Access) -> Any:
    if access == "r":
        return ref.load(mode="readonly")
    try:
        return ref.load(mode="shared")
    except InvalidArgument:
        raise WindowRefused(
            f"the entry {ref.name!r} is immutable; save it with mutable=True to let guests write "
            f"to it, {OR_COPY}"
        ) from None
