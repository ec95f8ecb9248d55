"""The inputs of a module, one by one: where each stands, and which of its sizes vary."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onecopy.errors import InvalidArgument


@dataclass(frozen=True)
class Leaf:
    """One input: a tensor, a number or a constant, such as `cache.keys[0]`.

    `varying` has, for each axis that varies, what `dynamic_shapes` says of it; an input that is
    itself a varying number has it under the axis None.
    """

    path: str
    value: Any
    varying: Mapping[int | None, Any]

    def axis_name(self, axis: int | None) -> str:
        """Return a name for an axis to which `dynamic_shapes` gives none."""
        parts = self.path if axis is None else f"{self.path}_{axis}"
        name = re.sub(r"\W+", "_", parts).strip("_")
        return f"_{name}" if keyword.iskeyword(name) or name[:1].isdigit() else name


def leaves_of(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], dynamic_shapes: Any
) -> list[Leaf]:
    """Return the inputs in the order in which torch flattens `(args, kwargs)`.

    Raises:
        InvalidArgument: the arguments do not fit the module's signature, or the dynamic shapes
            do not fit the arguments.

    """
    named = _named(module, args, kwargs)
    specs = _by_name(dynamic_shapes, named)
    found: list[Leaf] = []
    for name, path, value in named:
        spec = specs.get(name)
        for key in path:
            spec = _child(spec, key)
        shown = name + "".join(f"[{key!r}]" for key in path)
        found += _walk(shown, value, spec)
    return found


def completed(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], dynamic_shapes: Any
) -> Any:
    """Return the dynamic shapes with None for all that is not named in them.

    torch.export wants every argument there, whose structure must be that of the value.
    """
    if dynamic_shapes is None:
        return None
    bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    specs = _by_name(dynamic_shapes, [(name, (), None) for name in bound])
    return {name: _completed(specs.get(name), value) for name, value in bound.items()}


def _completed(spec: Any, value: Any) -> Any:
    if type(value) is dict and (spec is None or isinstance(spec, Mapping)):
        return {key: _completed(_child(spec, key), each) for key, each in value.items()}
    if type(value) in (list, tuple) and (spec is None or isinstance(spec, (list, tuple))):
        items = [_completed(_child(spec, at), each) for at, each in enumerate(value)]
        return type(value)(items)
    return spec


def _named(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[tuple[str, tuple[Any, ...], Any]]:
    """Name each argument by its parameter; `*args` and `**kwargs` add a key to that."""
    signature = inspect.signature(module.forward)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidArgument(f"the example arguments do not fit the module: {error}") from None
    kinds = list(signature.parameters.values())
    plain = [p.name for p in kinds if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in kinds if p.kind is p.VAR_POSITIONAL), "args")
    keys = next((p.name for p in kinds if p.kind is p.VAR_KEYWORD), "kwargs")
    named: list[tuple[str, tuple[Any, ...], Any]] = []
    for at, value in enumerate(args):
        known = at < len(plain)
        named.append((plain[at], (), value) if known else (rest, (at - len(plain),), value))
    for key, value in kwargs.items():
        own = key in signature.parameters
        named.append((key, (), value) if own else (keys, (key,), value))
    return named


def _by_name(dynamic_shapes: Any, named: list[tuple[str, tuple[Any, ...], Any]]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for name, _, _ in named))
    if dynamic_shapes is None:
        return {}
    if isinstance(dynamic_shapes, Mapping):
        unknown = sorted(set(dynamic_shapes) - set(names))
        if unknown:
            raise InvalidArgument(
                f"dynamic_shapes names {', '.join(unknown)}, but the arguments are: "
                f"{', '.join(names)}"
            )
        return dict(dynamic_shapes)
    if not isinstance(dynamic_shapes, Sequence) or len(dynamic_shapes) > len(names):
        raise InvalidArgument("dynamic_shapes is neither a dict by argument nor a sequence of them")
    return dict(zip(names, dynamic_shapes, strict=False))


def _child(spec: Any, key: Any) -> Any:
    if isinstance(spec, Mapping):
        return spec.get(key)
    if isinstance(spec, Sequence) and isinstance(key, int) and key < len(spec):
        return spec[key]
    return None


def _walk(path: str, value: Any, spec: Any) -> Iterator[Leaf]:
    import torch
    from torch.utils import _pytree

    if isinstance(value, torch.Tensor):
        yield Leaf(path, value, _axes(path, value, spec))
        return
    children, _ = _pytree.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    if len(children) == 1 and children[0][1] is value:
        yield Leaf(path, value, {} if spec is None else {None: spec})
        return
    for at, (key, child) in enumerate(children):
        yield from _walk(path + _pytree.keystr(key), child, _part(spec, at, value))


def _part(spec: Any, at: int, value: Any) -> Any:
    """Return what dynamic_shapes says of a container's part: by key of a dict, else by position."""
    if isinstance(spec, Mapping) and isinstance(value, Mapping):
        return spec.get(list(value)[at])
    items = list(spec.values()) if isinstance(spec, Mapping) else spec
    return _child(items, at)


def _axes(path: str, value: Any, spec: Any) -> dict[int | None, Any]:
    if spec is None:
        return {}
    items = spec.items() if isinstance(spec, Mapping) else enumerate(spec)
    axes: dict[int | None, Any] = {}
    for axis, dim in items:
        if not isinstance(axis, int) or not -value.dim() <= axis < value.dim():
            raise InvalidArgument(
                f"dynamic_shapes has axis {axis!r} of {path}, which has {value.dim()} axes"
            )
        if dim is not None and not isinstance(dim, int):
            axes[axis % value.dim()] = dim
    return axes
