"""What hosts see of a batch: masks that were copied from the rows and then checked, and biases.

Workers check what guests say, but one that was taken over does not, and may write to its rows at
any time. A row without a token, or with one beyond the vocabulary, would make sampling fail for the
whole batch. Masks are small: to copy and check forty of 4 KiB takes 7 µs. Biases are not, and are
shown where workers wrote them.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from onecopy.native import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from onecopy.guests.batch.rows import Rows


class Masks:
    """The masks of all rows, in this process's own memory; they allow everything at first."""

    def __init__(self, rows: Rows) -> None:
        import numpy as np

        self._rows = rows
        self._full = np.frombuffer(rows.full, "<u4")
        self.array = np.empty((rows.batch, rows.words), "<u4")
        """uint32 `[batch, words]`."""
        self.array[:] = self._full
        self._library = find()

    def take(self, rows: Sequence[int]) -> set[int]:
        """Copy rows that workers have written; return those that are without a token."""
        if self._library is None:
            return self._take(rows)
        numbers = array("I", rows)
        empty = self._library.quick.onecopy_take_masks(
            *(self.array.ctypes.data, self._rows.mask_at(0), self._rows.mask_stride),
            *(self._rows.vocab, numbers.buffer_info()[0], len(numbers)),
        )
        return set(numbers[:empty])

    def _take(self, rows: Sequence[int]) -> set[int]:
        for row in rows:
            self.array[row] = self._rows.mask_array[row] & self._full
        return {row for row in rows if not self.array[row].any()}

    def allow_all(self, row: int) -> None:
        """Let a row allow every token, with no bias."""
        self.array[row] = self._full
        if self._rows.bias_array is not None:
            self._rows.bias_array[row] = 0

    def allow_only(self, row: int, token: int) -> None:
        """Let a row allow one token: no row is ever without any."""
        self.array[row] = 0
        self.array[row, token // 32] = 1 << token % 32
        if self._rows.bias_array is not None:
            self._rows.bias_array[row] = float("-inf")
            self._rows.bias_array[row, token] = 0

    def tensor(self) -> torch.Tensor:
        """Return all masks as an int32 tensor `[batch, words]`."""
        import torch

        return torch.from_numpy(self.array.view("<i4"))

    def biases(self) -> Any:
        """Return all biases as an f32 tensor `[batch, vocab]`, or None without them."""
        return self._rows.biases()
