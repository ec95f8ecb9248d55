"""Where everything goes, and how good that is."""

from __future__ import annotations

from dataclasses import dataclass, field

from onecopy.errors import InvalidSolution


@dataclass(frozen=True)
class Solution:
    """An offset for each buffer.

    `optimal` says that no plan of the problem has a lower peak: `peak` is a lower bound, or a
    search went through everything else.
    """

    peak: int
    """The bytes of the arena: the highest end of a buffer."""
    lower_bound: int
    """Bytes that are proven to be needed; at least the problem's own bound."""
    optimal: bool
    offsets: dict[str, int] = field(repr=False)
    """By the names of buffers."""

    def offset_of(self, name: str) -> int:
        """Return where a buffer is.

        Raises:
            InvalidSolution: nowhere; the solution is that of another problem.
        """
        try:
            return self.offsets[name]
        except KeyError:
            raise InvalidSolution(
                f"buffer {name!r} has no offset; give the solution of this problem"
            ) from None
