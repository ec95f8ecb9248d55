"""One pass over an exported graph with fake tensors: which storages there are, and who uses them.

Nothing is concluded from the schemas of operators, of which some only *may* return a view
(`reshape`, `to`): each operator is called with fake tensors, which share storages exactly as real
ones do, down to what a composite one (`linear`, `matmul`, attention) allocates on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Storage:
    """Memory that one or more tensors share; times are numbers of steps.

    A step is one operator that torch dispatches and that has tensors among its arguments or
    results. Memory that was there before the first one has `start` -1.
    """

    name: str
    nbytes: Any
    start: int
    last_use: int
    op: str
    path: str
    node: str
    held: Any
    """Keeps the storage's identity from being given to another."""
    mutated: bool = False


@dataclass
class Trace:
    """What a pass over the graph has seen."""

    storages: dict[int, Storage] = field(default_factory=dict)
    steps: int = 0
    nodes: list[str] = field(default_factory=list)
    """For each step, the node of the graph that caused it."""
    outputs: list[int] = field(default_factory=list)
    """Keys of the storages that the graph returns."""
    made: Counter[str] = field(default_factory=Counter)
    """How many storages each node has made so far."""
    limits: dict[Any, Any] = field(default_factory=dict)
    """For sizes that only the data decides: what they cannot exceed."""

    def add(self, tensor: Any, op: str, path: str, node: str, start: int) -> Storage:
        """Note the storage of a tensor that has not been seen before."""
        held = tensor.untyped_storage()
        number = self.made[node]
        self.made[node] += 1
        name = f"{node}.{number}" if number else node
        storage = Storage(name, held.nbytes(), start, start, op, path, node, held)
        self.storages[key_of(tensor)] = storage
        return storage

    def use(self, tensors: Iterable[Any], step: int) -> None:
        """Note that tensors are needed in this step."""
        for tensor in tensors:
            storage = self.storages.get(key_of(tensor))
            if storage is not None:
                storage.last_use = max(storage.last_use, step)


def key_of(tensor: Any) -> int:
    """Return what two tensors have in common exactly when they share memory."""
    return int(tensor.untyped_storage()._cdata)


def tensors_in(tree: Any) -> list[Any]:
    """Return the strided tensors in nested containers; others own no storage of their own."""
    from torch.utils import _pytree

    return [leaf for leaf in _pytree.tree_leaves(tree) if has_storage(leaf)]


def has_storage(value: Any) -> bool:
    """Say whether it is a tensor with memory of its own; a sparse one consists of several."""
    import torch

    return isinstance(value, torch.Tensor) and value.layout == torch.strided


# In training these write to the running statistics, and their schemas do not say so.
_UPDATING = ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm")
_STATISTICS = ("running_mean", "running_var")


def written_by(op: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Return the tensors that an operator writes to: as its schema says, and batch norms do."""
    given = {
        argument.name: args[at] if at < len(args) else kwargs.get(argument.name)
        for at, argument in enumerate(op._schema.arguments)
    }
    names = [
        argument.name
        for argument in op._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    if op.overloadpacket.__name__ in _UPDATING and given["training"]:
        names += _STATISTICS
    return tensors_in([given[name] for name in names])
