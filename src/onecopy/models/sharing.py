"""What `Store.save_module`, `load_module`, `load_into` and `adopt` do.

What only some of them need is imported there, for a first `load_module` waits for the imports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from onecopy.errors import InvalidArgument
from onecopy.models.codec import only_weights

if TYPE_CHECKING:
    from onecopy.models.pointing import Incompatible
    from onecopy.segments.mapping import Mode
    from onecopy.store.client import Store


def save_module(store: Store, name: str, module: Any, **options: Any) -> None:
    """Save a module; see `Store.save_module`."""
    store.save(name, _module(module), **options)


def load_module(store: Store, name: str, *, timeout: float = 0, mode: Mode | None = None) -> Any:
    """Load a module; see `Store.load_module`."""
    value = store.load(name, timeout=timeout, mode=mode)
    if not isinstance(value, torch.nn.Module):
        raise InvalidArgument(
            f"{name!r} holds a {type(value).__name__}, not a module; get it with load, or use its "
            "tensors in a module of your own with load_into"
        )
    return value


def load_into(
    store: Store,
    module: Any,
    name: str,
    strict: bool = True,
    *,
    timeout: float = 0,
    mode: Mode | None = None,
) -> Incompatible:
    """Point a module at the tensors of an entry; see `Store.load_into`."""
    from onecopy.models.pointing import point

    _module(module)
    with only_weights():
        weights = store.load(name, timeout=timeout, mode=mode)
    if not isinstance(weights, Mapping):
        raise InvalidArgument(
            f"{name!r} holds a {type(weights).__name__}; load_into needs a module or a dict of "
            "names and tensors"
        )
    return point(module, weights, strict)


def adopt(store: Store, module: Any, name: str, **options: Any) -> None:
    """Move a module's weights into the store; see `Store.adopt`."""
    from onecopy.models.weights import slots

    found = {slot.name: slot.tensor for slot in slots(_module(module)) if slot.persistent}
    store.save(name, found, **options)
    load_into(store, module, name)


def _module(value: Any) -> Any:
    if not isinstance(value, torch.nn.Module):
        raise InvalidArgument(
            f"a module is needed, not a {type(value).__name__}; tensors are saved with save"
        )
    return value
