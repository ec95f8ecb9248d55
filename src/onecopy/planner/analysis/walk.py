"""The walk over a graph that fills a `Trace`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch.utils._python_dispatch import TorchDispatchMode

from onecopy.errors import ExportFailed
from onecopy.planner.analysis.composites import called, lost_sizes
from onecopy.planner.analysis.sizes import expression_of
from onecopy.planner.analysis.trace import Trace, key_of, tensors_in, written_by


def walked(
    graph_module: Any,
    values: Sequence[Any],
    trace: Trace,
    device: Any,
    around: Any = None,
) -> Any:
    """Run a graph on values and note in the trace what is allocated, used and returned.

    `device` replaces the meta device, on which operators choose other algorithms than where the
    module will run. `around` is a context that is entered for the time of the walk. Returns what
    the graph returns.
    """
    observer = Observer(trace, device)
    environment = getattr(around, "shape_env", None)
    # What operators ask of sizes on the way is answered as for the example. It must not become a
    # fact: not every call is like it.
    silent = environment.suppress_guards() if environment else contextlib.nullcontext()
    with torch.no_grad(), silent, around or contextlib.nullcontext(), observer:
        results = Walker(graph_module, observer).run(*values, enable_io_processing=False)
    trace.outputs = list(dict.fromkeys(key_of(tensor) for tensor in tensors_in(results)))
    return results


def path_of(node: Any) -> str:
    """Return the path of the module that a node comes from, such as `model.layers.0.mlp`."""
    stack = (node.meta or {}).get("nn_module_stack") or {}
    path = next(reversed(stack.values()))[0] if stack else ""
    return str(path).removeprefix("L['self'].").removeprefix("L['self']")


class Observer(TorchDispatchMode):  # type: ignore[misc]
    """Sees every operator that torch dispatches, those inside composite ones too."""

    def __init__(self, trace: Trace, device: Any) -> None:
        super().__init__()
        self.trace = trace
        self.device = device
        self.node: Any = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = on_device(kwargs or {}, self.device)
        # As at the export: some operators have a form for sizes that vary in Python only.
        with enable_python_dispatcher():
            result = func(*args, **kwargs)
        used, made = tensors_in((args, kwargs)), tensors_in(result)
        if (used or made) and func.namespace != "prim":
            _step(self.trace, self.node, func, used, made, written_by(func, args, kwargs))
        return result


class Walker(torch.fx.Interpreter):  # type: ignore[misc]
    """Runs a graph node by node, under an observer."""

    def __init__(self, graph_module: Any, observer: Observer) -> None:
        super().__init__(graph_module)
        self.observer = observer

    def run_node(self, node: Any) -> Any:
        """Run one node; while it runs, whatever is allocated is its."""
        trace = self.observer.trace
        outer, self.observer.node = self.observer.node, node
        before = trace.steps
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        result = super().run_node(node)
        if trace.steps > before:
            # Whoever calls an operator holds its arguments until it returns.
            trace.use(tensors_in((args, kwargs)), trace.steps - 1)
        _rebind(node, result)
        _note_limit(trace, node, args)
        _note_assertion(trace, node)
        self.observer.node = outer
        return result

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator; graphs within the graph are walked too."""
        if isinstance(target, torch._ops.HigherOrderOperator):
            return self._inlined(target, args)
        expected = self.observer.node.meta.get("val")
        result = called(target, args, on_device(kwargs, self.observer.device), expected)
        if lost_sizes(result, expected):
            raise ExportFailed(
                f"the planner does not follow {target} with sizes that vary: leave them out of "
                "dynamic_shapes, or plan the modules around it"
            )
        return result

    def _inlined(self, target: Any, args: Any) -> Any:
        name = target.name()
        if name == "cond":
            # Both branches, one after the other: the peak is that of the larger one.
            _, first, second, operands = args
            result = self._branch(first, operands)
            self._branch(second, operands)
            return result
        if name == "wrap_with_set_grad_enabled":
            return self._branch(args[1], args[2:])
        if name == "wrap_with_autocast":
            with torch.autocast(*args[:4]):
                return self._branch(args[4], args[5:])
        raise ExportFailed(
            f"the module uses {name}, which the planner does not follow; unroll it, or plan the "
            "modules inside it"
        )

    def _branch(self, graph_module: Any, operands: Any) -> Any:
        return Walker(graph_module, self.observer).run(*operands, enable_io_processing=False)


def _step(trace: Trace, node: Any, op: Any, used: Any, made: Any, written: Any) -> None:
    step = trace.steps
    trace.steps += 1
    trace.nodes.append(node.name)
    for tensor in used:
        if key_of(tensor) not in trace.storages:
            trace.add(tensor, "constant", path_of(node), node.name, start=-1)
    trace.use(used, step)
    for tensor in made:
        if key_of(tensor) not in trace.storages:
            trace.add(tensor, str(op), path_of(node), node.name, step)
    for tensor in written:
        trace.storages[key_of(tensor)].mutated = True


def _rebind(node: Any, result: Any) -> None:
    """Give a size that only the data decides the symbol that it had at the export."""
    from torch._guards import detect_fake_mode
    from torch.fx.experimental.symbolic_shapes import rebind_unbacked

    mode = detect_fake_mode()
    if mode is not None and node.meta.get("unbacked_bindings"):
        rebind_unbacked(mode.shape_env, node, result)


# Their result has at most one row for each element of their first argument.
_SELECTING = ("nonzero.", "masked_select.", "_unique2.", "unique_dim.", "unique_consecutive.")


def _note_limit(trace: Trace, node: Any, args: Any) -> None:
    if getattr(node.target, "__name__", "").startswith(_SELECTING):
        for symbol in node.meta.get("unbacked_bindings") or {}:
            trace.limits[symbol] = expression_of(args[0].numel())


def _note_assertion(trace: Trace, node: Any) -> None:
    """Note k ≤ n for a size k that only the data decides, where the module states it."""
    if getattr(node.target, "__name__", "") != "_assert_scalar.default":
        return
    stated = getattr(node.args[0], "meta", {}).get("val")
    relation: Any = getattr(getattr(stated, "node", None), "expr", None)
    sign = getattr(relation, "rel_op", None)
    if sign not in ("<=", "<", ">=", ">"):
        return
    sides = (relation.lhs, relation.rhs)
    smaller, larger = sides if sign in ("<=", "<") else reversed(sides)
    free = larger.free_symbols
    # A constant is in torch's own range of the symbol.
    known = bool(free) and not any(map(_data_decides, free))
    if known and smaller.is_Symbol and _data_decides(smaller):
        trace.limits.setdefault(smaller, larger)


def _data_decides(symbol: Any) -> bool:
    from torch.utils._sympy.symbol import SymT, symbol_is_type

    return bool(symbol_is_type(symbol, (SymT.UNBACKED_INT, SymT.UNBACKED_FLOAT)))


def on_device(kwargs: Any, device: Any) -> Any:
    """Return the keyword arguments with `device`, where they name the meta device."""
    asked = kwargs.get("device")
    if device is None or asked is None or getattr(asked, "type", asked) != "meta":
        return kwargs
    return {**kwargs, "device": device}
