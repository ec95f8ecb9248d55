"""An independent check of plans: the graph runs on real tensors, and memory is spoilt at its end.

Nothing of the planner's own walk is used but its way to count steps. Each storage that an operator
makes is compared with the buffer that the plan has for it, and as soon as the plan says that it is
not needed any longer it is overwritten. If that was too early, the results are wrong.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from onecopy.planner import Plan


class Spoiler(TorchDispatchMode):
    """Counts steps, notes new storages, and spoils those whose planned life is over."""

    def __init__(self, plan: Plan, present: list[Any]) -> None:
        super().__init__()
        self.step = 0
        self.seen = {_key(tensor): tensor.untyped_storage() for tensor in present}
        self.expected: dict[int, list[Any]] = defaultdict(list)
        self.ends: dict[int, list[Any]] = defaultdict(list)
        self.found: dict[str, int] = {}
        for buffer in plan.buffers:
            if buffer.kind in ("intermediate", "output"):
                self.expected[buffer.start].append(buffer)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = [x for x in _pytree.tree_leaves(result) if isinstance(x, torch.Tensor)]
        used = [x for x in _pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if (made or used) and func.namespace != "prim":
            self._note(made)
            self.step += 1
            for storage in self.ends.pop(self.step, []):
                storage.fill_(0xA5)
        return result

    def _note(self, made: list[Any]) -> None:
        fresh = {}
        for tensor in made:
            if _key(tensor) not in self.seen:
                self.seen[_key(tensor)] = fresh[_key(tensor)] = tensor.untyped_storage()
        buffers = self.expected.pop(self.step, [])
        assert len(buffers) == len(fresh), (self.step, buffers, len(fresh))
        for buffer, storage in zip(buffers, fresh.values(), strict=True):
            self.found[buffer.name] = storage.nbytes()
            if buffer.kind == "intermediate":
                self.ends[buffer.end].append(storage)


def run(exported: Any, arguments: list[Any], spoiler: Any = None) -> list[Any]:
    """Run an exported graph on real tensors, under a spoiler if there is one."""
    interpreter = torch.fx.Interpreter(exported.graph_module)
    with torch.no_grad():
        if spoiler is None:
            return list(interpreter.run(*arguments, enable_io_processing=False))
        with spoiler:
            return list(interpreter.run(*arguments, enable_io_processing=False))


def spoilt(plan: Plan, exported: Any, inputs: list[Any]) -> tuple[list[Any], list[Any], Any]:
    """Return the results of a plain run, those of a spoilt one, and what the latter has found."""
    plain, guarded = _arguments(exported, inputs), _arguments(exported, inputs)
    expected = run(exported, plain)
    spoiler = Spoiler(plan, [each for each in guarded if isinstance(each, torch.Tensor)])
    return expected + plain, run(exported, guarded, spoiler) + guarded, spoiler


def _arguments(exported: Any, inputs: list[Any]) -> list[Any]:
    waiting = iter(inputs)
    known = {**exported.constants, **exported.state_dict}
    found = []
    for spec in exported.graph_signature.input_specs:
        value = next(waiting) if spec.kind.name == "USER_INPUT" else known[spec.target]
        found.append(value.detach().clone() if isinstance(value, torch.Tensor) else value)
    return found


def _key(tensor: Any) -> int:
    return int(tensor.untyped_storage()._cdata)
