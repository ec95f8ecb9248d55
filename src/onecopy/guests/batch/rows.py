"""Rows: the masks and biases of a batch, in one segment that the engine and its workers map.

Hosts see a copy of the masks (masks.py), and the biases themselves. So each row owns its pages: the
engine can `hide` its biases by pages of its own, and what a late worker still writes to the segment
is not seen by a model that reads the row meanwhile. No lock could do that without waiting.

| part | rows | each |
|---|---|---|
| masks | `batch` | `ceil(vocab / 32)` words, 1 = allowed, 0 beyond the vocabulary; whole pages |
| biases, if any | `batch` | `vocab` floats, -inf = forbidden; whole pages |
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument
from onecopy.guests.wasm.memory import pages
from onecopy.segments.mapping import map_fd, replace
from onecopy.segments.region import create, seal

if TYPE_CHECKING:
    import numpy as np
    import torch

MAX_BATCH: Final = 960
"""Rows of a batch; more go into a second `Controllers`."""
MAX_VOCABULARY: Final = 1 << 24


def words(vocab: int) -> int:
    """Return the 32-bit words of a mask over `vocab` tokens."""
    return -(-vocab // 32)


class Rows:
    """The rows, mapped into this process; `make` makes the segment, `Rows(fd, …)` maps one."""

    def __init__(self, fd: int, batch: int, vocab: int, *, biases: bool) -> None:
        self.fd = fd
        self.batch = batch
        self.vocab = vocab
        self.words = words(vocab)
        self.mask_stride = pages(4 * self.words)
        self.bias_stride = pages(128 * self.words) if biases else 0
        self._mapping = map_fd(fd, self.nbytes, "shared")
        self.hidden: set[int] = set()
        """Rows that are not those of the segment now."""
        self.mask_array = self._array("<u4", self.words, self.mask_stride, 0)
        self.bias_array = (
            self._array("<f4", vocab, self.bias_stride, batch * self.mask_stride)
            if biases
            else None
        )
        self._mask_bytes = list(self.mask_array.view("u1"))
        # In eights, a few of which may lie beyond the vocabulary: still in the row's own pages.
        self._dense = self._eights() if biases else []

    @classmethod
    def make(cls, batch: int, vocab: int, *, biases: bool = False) -> Rows:
        """Make rows without a token or a bias.

        Raises:
            InvalidArgument: a batch or a vocabulary of a size that there is not.
        """
        if not 0 < batch <= MAX_BATCH:
            raise InvalidArgument(
                f"a batch has 1 to {MAX_BATCH} rows, not {batch}; use several Controllers"
            )
        if not 0 < vocab <= MAX_VOCABULARY:
            raise InvalidArgument(f"a vocabulary has 1 to {MAX_VOCABULARY} tokens, not {vocab}")
        per_row = pages(4 * words(vocab)) + (pages(128 * words(vocab)) if biases else 0)
        fd = create("onecopy-rows", batch * per_row)
        try:
            seal(fd, mutable=True)
            return cls(fd, batch, vocab, biases=biases)
        except BaseException:
            os.close(fd)
            raise

    @property
    def full(self) -> bytes:
        """The bytes of a mask that allows every token."""
        return ((1 << self.vocab) - 1).to_bytes(4 * self.words, "little")

    @property
    def nbytes(self) -> int:
        """The size of the segment."""
        return self.batch * (self.mask_stride + self.bias_stride)

    def biases(self) -> torch.Tensor | None:
        """Return all biases as an f32 tensor `[batch, vocab]`, or None without them."""
        if self.bias_array is None:
            return None
        import torch

        return torch.from_numpy(self.bias_array)

    def mask_at(self, row: int) -> int:
        """Return the address of a row's mask in this process."""
        return self._mapping.address + row * self.mask_stride

    def biases_at(self, row: int) -> int:
        """Return the address of a row's biases in this process."""
        return self._mapping.address + self.batch * self.mask_stride + row * self.bias_stride

    def hide(self, row: int) -> None:
        """Take a row's biases from the segment: this process has its own pages there, of zeros.

        Its mask stays: hosts see a copy of that (masks.py).
        """
        if self.bias_stride:
            replace(self.biases_at(row), self.bias_stride)
            self.hidden.add(row)

    def show(self, row: int) -> None:
        """Map a hidden row to the segment again; others are left alone."""
        if row in self.hidden:
            address = self.biases_at(row)
            replace(address, self.bias_stride, self.fd, address - self._mapping.address)
            self.hidden.discard(row)

    def write_biases(self, row: int, tokens: Any, values: Any) -> None:
        """Make a row's biases of its mask (-inf where it forbids) and of a guest's finite ones."""
        import numpy as np

        # By bytes of the mask: 8 floats each, from a table of 8 KiB that stays in the cache.
        np.take(spelled(), self._mask_bytes[row], axis=0, out=self._dense[row], mode="clip")
        if len(tokens):
            self.bias_array[row, tokens] += values  # type: ignore[index]

    def close(self) -> None:
        """Close the segment; tensors over it stay valid."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _array(self, dtype: str, columns: int, stride: int, offset: int) -> np.ndarray[Any, Any]:
        import numpy as np

        flat = self._mapping.view(offset, self.batch * stride)
        return np.ndarray((self.batch, columns), dtype, flat, strides=(stride, 4))

    def _eights(self) -> list[np.ndarray[Any, Any]]:
        start = self.batch * self.mask_stride
        whole = self._array("<f4", 32 * self.words, self.bias_stride, start)
        return [each.reshape(-1, 8) for each in whole]


@functools.cache
def spelled() -> np.ndarray[Any, Any]:
    """Return 8 floats for each byte: 0 for a set bit, -inf for one that is not."""
    import numpy as np

    bits = np.unpackbits(np.arange(256, dtype="u1")[:, None], axis=1, bitorder="little")
    return np.where(bits, np.float32(0), np.float32("-inf")).astype("f4")
