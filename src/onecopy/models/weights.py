"""The weights of a module by their names in its state dict: tied ones under each of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.errors import CorruptEntry
from onecopy.models import skeleton as sk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A small skeleton may share modules so that there are exponentially many names, or no end.
_MODULES_LIMIT: Final = 1 << 18
_DEPTH_LIMIT: Final = 1000


class Slot(NamedTuple):
    """A place in a module that holds a tensor."""

    name: str
    tensor: Any
    owner: Any
    """The module that has it, under the last part of its name."""
    persistent: bool
    """Whether it belongs into a state dict."""


def slots(module: Any) -> Iterator[Slot]:
    """Yield all places of parameters and buffers, those of shared modules several times."""
    for prefix, owner in module.named_modules(remove_duplicate=False):
        start = f"{prefix}." if prefix else ""
        transient = owner._non_persistent_buffers_set
        for members in (owner._parameters, owner._buffers):
            for name, tensor in members.items():
                if tensor is not None:
                    yield Slot(start + name, tensor, owner, name not in transient)


def of_skeleton(nodes: Sequence[Any], parts: Sequence[Any]) -> dict[str, Any]:
    """Return the tensors of a stored module by their names, whatever its classes are.

    Buffers that a state dict leaves out are among them.
    """
    found: dict[str, Any] = {}
    for prefix, node in _modules(nodes):
        for name, number in (*sk.pairs(node[4]), *sk.pairs(node[5])):
            if number is not None:
                found[prefix + name] = parts[nodes[number][1]]
    return found


def _modules(nodes: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the module nodes with the prefixes of their names, in the order of a state dict."""
    stack = [("", 0, 0)]
    for _ in range(_MODULES_LIMIT):
        if not stack:
            return
        prefix, number, depth = stack.pop()
        node = nodes[number]
        if node[0] != sk.MODULE or depth > _DEPTH_LIMIT:
            raise CorruptEntry("a skeleton has no module there, or modules nested without end")
        yield prefix, node
        children = [(f"{prefix}{name}.", child, depth + 1) for name, child in sk.pairs(node[7])]
        stack += [child for child in reversed(children) if child[1] is not None]
    raise CorruptEntry(f"a module has more than {_MODULES_LIMIT} names for its children")
