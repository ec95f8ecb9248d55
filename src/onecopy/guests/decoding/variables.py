"""Variables that all sequences of one request share: small, bounded, gone with the request."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument, LimitReached

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_NBYTES: Final = 1 << 20
MAX_KEY_NBYTES: Final = 256
_OVERHEAD: Final = 64


class Variables(MutableMapping[bytes, bytes]):
    """A mapping of bytes to bytes; keys and values, and 64 bytes for each, stay within a limit.

    Sequences of a request take turns in one worker, so what one sets, those after it see.
    """

    def __init__(self, limit_nbytes: int = LIMIT_NBYTES) -> None:
        self.limit_nbytes = limit_nbytes
        self.nbytes = 0
        self._values: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        return self._values[key]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Set a variable; `LimitReached`, and nothing is changed, if there is no room for it."""
        if not 0 < len(key) <= MAX_KEY_NBYTES:
            raise InvalidArgument(f"a variable's name has 1 to {MAX_KEY_NBYTES} bytes")
        old = self._values.get(key)
        more = len(value) - len(old) if old is not None else _cost(key, value)
        if self.nbytes + more > self.limit_nbytes:
            raise LimitReached(
                f"variables of a request have up to {self.limit_nbytes} bytes, {self.nbytes} are "
                "taken; set smaller ones, or raise limit_nbytes"
            )
        self._values[key] = value
        self.nbytes += more

    def __delitem__(self, key: bytes) -> None:
        self.nbytes -= _cost(key, self._values.pop(key))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _cost(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + _OVERHEAD
