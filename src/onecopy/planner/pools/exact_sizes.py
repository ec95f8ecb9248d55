"""A cache of freed blocks by their exact size."""

from __future__ import annotations

from onecopy.planner.pools.size_classes import SizeClasses


class ExactSizes(SizeClasses):
    """A freed block is used again by a request of its very size; anything else gets a new one.

    What TVM's pooled allocator does: good where shapes repeat, boundless where they drift. Sizes
    count as equal once they are rounded to `alignment`. When the capacity is reached, all that
    waits is given back and the request is tried again.
    """

    def size_class(self, nbytes: int) -> int:
        """Return the size of the block that a request is given."""
        return self._round(nbytes)
