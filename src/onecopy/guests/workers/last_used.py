"""Which modules were used last: native code is several times as long as Wasm, and is not kept for
ever, neither by an engine nor by its workers."""

from __future__ import annotations

from typing import Final

from onecopy.guests.wasm.module import MAX_NATIVE_NBYTES

MOST: Final = 128


class LastUsed:
    """Digests of modules and lengths of their native code, in the order of their last uses."""

    def __init__(self) -> None:
        self._nbytes: dict[str, int] = {}

    def __contains__(self, digest: str) -> bool:
        return digest in self._nbytes

    def use(self, digest: str, nbytes: int) -> list[str]:
        """Note a use; return the digests that are to go. The last one stays in any case."""
        # Other threads may be at it, too: each digest goes once.
        self._nbytes.pop(digest, None)
        self._nbytes[digest] = nbytes
        gone = []
        while len(self._nbytes) > 1 and self._are_too_much():
            oldest = next(iter(self._nbytes))
            if self._nbytes.pop(oldest, None) is not None:
                gone.append(oldest)
        return gone

    def _are_too_much(self) -> bool:
        sizes = list(self._nbytes.values())
        return len(sizes) > MOST or sum(sizes) > MAX_NATIVE_NBYTES
