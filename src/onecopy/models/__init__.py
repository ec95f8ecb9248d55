"""Models: whole modules in and out of a store, without copying a weight.

`codec` makes `torch.nn.Module` a value that a store saves and loads. It writes a *skeleton*,
plain values that `encoder` makes and `decoder` turns into a module again; `classes`,
`functions` and `names` say what may appear in one, so that nothing of it is ever executed.
`pointing` lets a module that exists use the store's weights. `pretrained` shares checkpoints
of `transformers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.lazy import exports

if TYPE_CHECKING:
    from onecopy.models.pretrained import from_pretrained

__all__ = ["from_pretrained"]

# Whoever loads a module waits for all that is imported here.
__getattr__, __dir__ = exports(__name__, {"from_pretrained": "pretrained"})
