"""Where a guest without models looks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.errors import AccessDenied, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.nn.guest.loader import Graph


class Nowhere:
    """A `Loader` that finds nothing."""

    def load(self, name: str, config: str = "", /) -> Graph:  # noqa: ARG002
        """Find nothing."""
        raise ModelNotFound(f"no model {name!r} was given to this guest")

    def load_bytes(self, builders: Sequence[memoryview], encoding: str, target: str, /) -> Graph:  # noqa: ARG002
        """Take nothing."""
        raise AccessDenied("this guest may bring no models")
