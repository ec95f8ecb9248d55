"""Values that are put together from several entries, such as a checkpoint in many files.

The entry has the names of its parts, a list, and a flag that says so. Each part is a dict, and an
entry like any other; they are found, and may be missing, when the whole is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy.errors import CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Callable


class Parts(list[str]):
    """A value that is to be put together from the entries of these names."""

    @staticmethod
    def of(value: Any) -> Parts:
        """Check what an entry with that flag holds."""
        if type(value) is not list or not all(type(name) is str for name in value):
            raise CorruptEntry("this entry should name its parts, and does not; save it again")
        return Parts(value)


def merge(names: Parts, load: Callable[[str], Any]) -> dict[Any, Any]:
    """Load the parts, and return one dict of the items of all."""
    merged: dict[Any, Any] = {}
    try:
        for name in names:
            value = load(name)
            if not isinstance(value, dict):
                raise CorruptEntry(f"the part {name!r} is no dict; import the checkpoint again")
            merged |= value
    except RecursionError:
        raise CorruptEntry("this entry is a part of itself; save it again") from None
    return merged
