"""Tensors in a store whose rows guests can be given one by one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument
from onecopy.guests.wasm.memory import PAGE, pages

if TYPE_CHECKING:
    import torch

    from onecopy.store.client import Store

# How long a buffer without a name outlives the last process that has it loaded.
_TTL: Final = 60.0


def buffer(
    *shape: int | torch.dtype,
    dtype: torch.dtype | None = None,
    store: Store,
    name: str | None = None,
) -> torch.Tensor:
    """Make a tensor of zeros in a store, mutable, each of whose rows has pages of its own.

    A row is what the last dimension spans. The stride between rows is a multiple of 4096 bytes,
    which few vocabularies are (128256 and 50257 floats are not), so `source_of(rows[i], "rw")` lets
    a guest write to row `i` and see no other.

        >>> import onecopy, torch
        >>> from onecopy import guests
        >>> with onecopy.start("example", capacity="64MiB") as store:
        ...     logits = guests.buffer(4, 50257, store=store, name="logits")
        ...     store.load("logits")[2, 0] = 1
        ...     logits.shape, logits.stride(), logits[2, 0].item()
        (torch.Size([4, 50257]), (51200, 1), 1.0)

    Args:
        shape: at least one size, none of them 0; the dtype may follow.
        dtype: by default torch's default, float32.
        store: a store in memory.
        name: others load it under this name. Without one it gets one of its own
            (`onecopy-buffer/…`), and is gone a minute after its last user.

    Raises:
        EntryExists: the name is taken.
        StoreFull: the store has no room.
    """
    import torch

    from onecopy.tensors.torch_codec import Padded

    if shape and isinstance(shape[-1], torch.dtype) and dtype is None:
        *shape, dtype = shape  # type: ignore[assignment]
    sizes = [size for size in shape if type(size) is int and size > 0]
    if not sizes or len(sizes) < len(shape):
        raise InvalidArgument(f"a buffer needs sizes of 1 or more, and then a dtype, not {shape}")
    rows = torch.empty(0, dtype=dtype or torch.get_default_dtype())
    row = pages(sizes[-1] * rows.element_size()) // rows.element_size()
    padded = torch.zeros(*sizes[:-1], row, dtype=rows.dtype)
    ttl = None if name else _TTL
    name = name or f"onecopy-buffer/{secrets.token_hex(8)}"
    store.save(name, Padded(padded, sizes[-1]), mutable=True, align=PAGE, ttl=ttl)
    found: Any = store.load(name, mode="shared")
    return found
