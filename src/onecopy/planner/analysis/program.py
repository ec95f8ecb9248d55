"""An exported program, walked: its buffers, with the names that its module and its caller use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from onecopy.errors import InvalidArgument
from onecopy.planner.analysis.buffer import Kind
from onecopy.planner.analysis.leaves import Leaf
from onecopy.planner.analysis.trace import Trace, has_storage, key_of
from onecopy.planner.analysis.walk import walked


@dataclass
class Program:
    """What is known after the walk: the trace, and what was there before its first step."""

    trace: Trace
    kinds: dict[int, Kind]
    shapes: list[Any]
    """For each input, the shape that the export gave it, or the number, or None."""
    ranges: dict[Any, Any]
    """What torch knows of its symbols."""
    stated: list[Any]
    """Relations between sizes that the export took for granted, torch._check among them."""


def followed(
    exported: Any, module: Any, leaves: Sequence[Leaf], state: Iterable[str], device: Any
) -> Program:
    """Walk an exported program with fake tensors.

    Raises:
        InvalidArgument: a name in `state` is neither a buffer of the module nor an argument.

    """
    slots = _slots(exported)
    values = [_on_device(node.meta.get("val"), device) for node, _ in slots]
    mode = _fake_mode(exported)
    trace = Trace()
    kinds: dict[int, Kind] = {}
    shapes = _note_present(trace, kinds, exported, module, leaves, slots, values)
    _note_states(trace, kinds, tuple(state))
    walked(exported.graph_module, values, trace, device, around=mode)
    for key, storage in trace.storages.items():
        if storage.mutated and key in kinds:
            kinds[key] = "state"
    env = mode.shape_env
    if env is None:
        return Program(trace, kinds, shapes, {}, [])
    guards = [guard.expr for guard in env.guards]
    return Program(trace, kinds, shapes, dict(env.var_to_range), guards)


def _fake_mode(exported: Any) -> Any:
    """Return the mode in which the export made its fake tensors: it knows the symbols."""
    from torch._guards import detect_fake_mode
    from torch._subclasses.fake_tensor import FakeTensorMode

    values = [node.meta.get("val") for node in exported.graph.nodes]
    return detect_fake_mode(values) or FakeTensorMode(allow_non_fake_inputs=True)


def _slots(exported: Any) -> list[tuple[Any, Any]]:
    """Return the graph's placeholders, each with what the signature says of it."""
    nodes = [node for node in exported.graph.nodes if node.op == "placeholder"]
    return list(zip(nodes, exported.graph_signature.input_specs, strict=True))


def _note_present(
    trace: Trace,
    kinds: dict[int, Kind],
    exported: Any,
    module: Any,
    leaves: Sequence[Leaf],
    slots: Sequence[tuple[Any, Any]],
    values: Sequence[Any],
) -> list[Any]:
    """Note weights and inputs; memory that two of them share is noted once."""
    real = _tensors_of(exported, module)
    seen: dict[int, int] = {}
    waiting = iter(leaves)
    shapes = []
    for (node, spec), value in zip(slots, values, strict=True):
        user = spec.kind.name == "USER_INPUT"
        leaf = next(waiting) if user else None
        source = leaf.value if leaf is not None else real.get(spec.target)
        name = leaf.path if leaf is not None else str(spec.target or node.name)
        if user:
            shapes.append(getattr(value, "shape", value))
        if has_storage(value):
            _present(trace, kinds, seen, name, value, source, "input" if user else "weight")
    for name, tensor in real.items():
        if key_of(tensor) not in seen:
            _present(trace, kinds, seen, name, tensor, tensor, "weight")
    return shapes


def _present(
    trace: Trace,
    kinds: dict[int, Kind],
    seen: dict[int, int],
    name: str,
    value: Any,
    source: Any,
    kind: Kind,
) -> None:
    identity = _identity(value, source, kind)
    if identity in seen:
        trace.storages[key_of(value)] = trace.storages[seen[identity]]
        return
    seen[identity] = key_of(value)
    storage = trace.add(value, "", name.rpartition(".")[0], name, start=-1)
    if kind == "weight" and has_storage(source):
        storage.nbytes = source.untyped_storage().nbytes()
    kinds[key_of(value)] = kind


def _identity(value: Any, source: Any, kind: Kind) -> int:
    """Return what two tensors have in common if they count once.

    Inputs never do: where an example is given twice, calls may have two tensors.
    """
    return key_of(source if kind == "weight" and has_storage(source) else value)


def _tensors_of(exported: Any, module: Any) -> dict[str, Any]:
    """Return the tensors of the module, used or not, and constants that the export lifted."""
    found = {name: value.detach() for name, value in module.named_parameters()}
    found |= {name: value.detach() for name, value in module.named_buffers()}
    for source in (exported.constants, exported.state_dict):
        for name, value in source.items():
            found.setdefault(name, value)
    return {name: value for name, value in found.items() if has_storage(value)}


def _note_states(trace: Trace, kinds: dict[int, Kind], state: Sequence[str]) -> None:
    for name in state:
        keys = [key for key, each in trace.storages.items() if _named(each.name, name)]
        if not keys:
            present = sorted(s.name for s in trace.storages.values() if not _static(s.name))
            raise InvalidArgument(
                f"state names {name!r}, which is neither a buffer of the module nor one of its "
                f"inputs: {', '.join(present[:20])}"
            )
        for key in keys:
            kinds[key] = "state"


def _static(name: str) -> bool:
    return name.endswith((".weight", ".bias"))


def _named(path: str, name: str) -> bool:
    return path == name or path.startswith((name + ".", name + "["))


def _on_device(value: Any, device: Any) -> Any:
    """Return a fake tensor like this one, on a device whose operators are those that will run."""
    import torch

    if device is None or not hasattr(value, "device") or value.device.type != "meta":
        return value
    with value.fake_mode:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
