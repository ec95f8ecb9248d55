"""Results of torch's operations moved into an arena: the slower way of storage().

Below autograd, where an operation's results are plain tensors: what is new, on the CPU and dense
is copied into a block of the arena, and the copy returned in its place. What shares memory with
an argument (a view, an in-place result) is left alone.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.tensors.plain_memory import PlainMemory

# Their result is the memory that torch made for them just before, out of our sight.
_LIFTS: Final = frozenset({torch.ops.aten.lift.default, torch.ops.aten.lift_fresh.default})

_modes = threading.local()


class Redirect(TorchDispatchMode):  # type: ignore[misc]  # torch is not checked
    """Moves the results of this thread's operations into a memory."""

    def __init__(self, memory: PlainMemory) -> None:
        super().__init__()
        self.memory = memory

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Carry out an operation, and move what it has made."""
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        known = set() if func in _LIFTS else _storages((args, kwargs))
        moved: dict[int, torch.Tensor | None] = {}
        return tree_map(lambda each: self._move(each, known, moved), results)

    def _move(self, result: Any, known: set[int], moved: dict[int, torch.Tensor | None]) -> Any:
        if not _movable(result):
            return result
        storage = result.untyped_storage()
        if storage._cdata in known:
            return result
        if storage._cdata not in moved:
            moved[storage._cdata] = self._copy(storage)
        bytes_here = moved[storage._cdata]
        if bytes_here is None:
            return result
        return torch.empty(0, dtype=result.dtype).set_(
            bytes_here.untyped_storage(), result.storage_offset(), result.size(), result.stride()
        )

    def _copy(self, storage: torch.UntypedStorage) -> torch.Tensor | None:
        nbytes = storage.nbytes()
        block = self.memory.allocate(nbytes)
        if block is None:
            return None
        copy = torch.frombuffer(block, dtype=torch.uint8, count=nbytes)
        return copy.copy_(torch.empty(0, dtype=torch.uint8).set_(storage))


def _movable(result: Any) -> bool:
    return (
        type(result) is torch.Tensor
        and result.device.type == "cpu"
        and result.layout is torch.strided
        and not (result.is_conj() or result.is_neg())
        and result.untyped_storage().nbytes() > 0
    )


def _storages(arguments: Any) -> set[int]:
    return {
        each.untyped_storage()._cdata
        for each in tree_iter(arguments)
        if isinstance(each, torch.Tensor) and each.layout is torch.strided
    }


def enter(memory: PlainMemory) -> None:
    """Begin to move this thread's results into `memory`."""
    mode = Redirect(memory)
    mode.__enter__()
    _stack().append(mode)


def leave(memory: PlainMemory) -> None:
    """End the innermost `enter` of this thread, which must be of this memory."""
    stack = _stack()
    if not stack or stack[-1].memory is not memory:
        raise InvalidArgument("arenas are left by the thread that entered them, innermost first")
    stack.pop().__exit__(None, None, None)


def _stack() -> list[Redirect]:
    stack: list[Redirect] | None = getattr(_modes, "stack", None)
    if stack is None:
        stack = _modes.stack = []
    return stack
