"""Anything else that speaks DLPack, such as jax arrays; it comes back as a torch tensor.

Where torch is not installed it is stored, and comes back, as a numpy array.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import UnsupportedValue
from onecopy.tensors import codec as codecs
from onecopy.tensors.codec import Leaf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.tensors.codec import Meta, Segment

_CPU: Final = 1


class DlpackCodec:
    """Stores objects with `__dlpack__` and `__dlpack_device__`."""

    name = "dlpack"
    types = ()

    def encode(self, value: Any) -> Leaf:
        """View the object as a tensor without copying, and describe that."""
        device = value.__dlpack_device__()
        if int(device[0]) != _CPU:
            raise UnsupportedValue(
                f"{type(value).__qualname__} on DLPack device {tuple(map(int, device))} cannot be "
                "stored yet; move it to the CPU"
            )
        library = "torch" if importlib.util.find_spec("torch") else "numpy"
        tensor = importlib.import_module(library).from_dlpack(value)
        leaf: Any = codecs.find(library).encode(tensor)
        return Leaf([library, leaf.meta], leaf.memory)

    def decode(self, meta: Meta, places: Sequence[int], segment: Segment) -> Any:
        """Rebuild it as the library that read it saw it."""
        library, inner = meta
        return codecs.find(library).decode(inner, places, segment)


codec = DlpackCodec()
