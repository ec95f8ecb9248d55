"""From a skeleton and its parts back to a module. Both may be hostile.

Instances are made by `object.__new__` and their `__dict__` is filled: no code of a class runs.
First all objects are made, empty, then they are filled, so that they may refer to each other.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import torch

from onecopy.errors import CorruptEntry
from onecopy.models import classes, names
from onecopy.models import skeleton as sk
from onecopy.models.skeleton import pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_EMPTY: Final[dict[int, Callable[[], Any]]] = {
    sk.LIST: list,
    sk.DICT: dict,
    sk.ORDERED: OrderedDict,
    sk.SET: set,
}
_Module: Final = torch.nn.Module
_Tensor: Final = torch.Tensor
_Parameter: Final = torch.nn.Parameter
# The containers that every module has of its own.
_CONTAINERS: Final = [(k, type(v)) for k, v in names.FRESH.items() if isinstance(v, (dict, set))]


class Decoder:
    """Rebuilds the objects of one skeleton."""

    def __init__(self, paths: Sequence[str], nodes: Sequence[Any], parts: Sequence[Any]) -> None:
        self._kinds = [classes.find(path) for path in paths]
        self._parts = parts
        self._nodes = nodes
        self._objects = [self._create(node) for node in nodes]

    def module(self) -> Any:
        """Fill all objects, and return the first."""
        for made, node in zip(self._objects, self._nodes, strict=True):
            self._fill(made, node)
        return _checked(self._objects[0], _Module)

    def _create(self, node: Any) -> Any:
        tag = node[0]
        if tag == sk.MODULE:
            return _new_module(self._kinds[node[1]])
        if tag == sk.PART:
            return self._parts[node[1]]
        if tag != sk.PLAIN:
            return _EMPTY[tag]()
        kind = self._kinds[node[1]]
        if not classes.has_plain_state(kind):
            raise CorruptEntry(f"{classes.path_of(kind)} is no class of plain objects")
        return object.__new__(kind)

    def _fill(self, made: Any, node: Any) -> None:
        tag = node[0]
        if tag == sk.MODULE:
            self._fill_module(vars(made), type(made), node)
        elif tag in (sk.PART, sk.PLAIN):
            if node[2]:
                vars(made).update(self._attributes(type(made), node[2]))
        elif tag in (sk.DICT, sk.ORDERED):
            made.update(pairs([self._value(value) for value in node[1:]]))
        else:
            add = made.append if tag == sk.LIST else made.add
            for value in node[1:]:
                add(self._value(value))

    def _fill_module(self, state: dict[str, Any], kind: type, node: list[Any]) -> None:
        _, _, training, attributes, parameters, buffers, transient, children = node
        state["training"] = _checked(training, bool)
        # Most modules have not all of these, and there are hundreds of modules.
        if transient:
            state["_non_persistent_buffers_set"].update(_checked(name, str) for name in transient)
        if parameters:
            self._fill_members(state["_parameters"], parameters, _Parameter)
        if buffers:
            self._fill_members(state["_buffers"], buffers, _Tensor)
        if children:
            self._fill_members(state["_modules"], children, _Module)
        state.update(self._attributes(kind, attributes))

    def _fill_members(self, members: dict[str, Any], flat: list[Any], kind: type) -> None:
        for name, number in pairs(flat):
            value = None if number is None else _checked(self._objects[number], kind)
            members[_checked(name, str)] = value

    def _attributes(self, kind: type, flat: list[Any]) -> Iterator[tuple[str, Any]]:
        for name, value in pairs(flat):
            known = names.settable(kind, name)
            if known is None:
                raise CorruptEntry(
                    f"a skeleton sets {name!r} of {classes.path_of(kind)}, which is no data"
                )
            yield known, self._value(value) if type(value) is list else value

    def _value(self, value: Any) -> Any:
        if type(value) is not list:
            return value
        tag, *items = value
        return _DECODERS[tag](self, *items)

    def _member(self, number: int, name: str) -> Enum:
        kind = self._kinds[number]
        if not issubclass(kind, Enum):
            raise CorruptEntry(f"{classes.path_of(kind)} is no enumeration")
        return kind.__members__[name]


_DECODERS: Final[dict[int, Callable[..., Any]]] = {
    sk.REFERENCE: lambda decoder, number: decoder._objects[number],
    sk.TUPLE: lambda decoder, *items: tuple(map(decoder._value, items)),
    sk.SIZE: lambda _, *sizes: torch.Size(sizes),
    # Not getattr, for which torch would import what it is asked for.
    sk.DTYPE: lambda _, name: _checked(vars(torch)[name], torch.dtype),
    sk.DEVICE: lambda _, name: torch.device(_checked(name, str)),
    sk.SLICE: lambda decoder, *items: slice(*map(decoder._value, items)),
    sk.BIG_INT: lambda _, digits: int(_checked(digits, str)),
    sk.FUNCTION: lambda _, name: _function(name),
    sk.MEMBER: Decoder._member,
    sk.WEAK: lambda decoder, number: weakref.ref(decoder._objects[number]),
    sk.FROZEN: lambda decoder, *items: frozenset(map(decoder._value, items)),
}


def _function(name: str) -> Any:
    from onecopy.models import functions  # Few modules have any.

    return functions.find(name)


def _new_module(kind: type) -> Any:
    """Return an instance without weights, children or hooks, whose `__init__` has not run."""
    if not issubclass(kind, _Module):
        raise CorruptEntry(f"{classes.path_of(kind)} is no class of modules")
    made: Any = object.__new__(kind)
    state = vars(made)
    state.update(names.FRESH)
    for name, empty in _CONTAINERS:
        state[name] = empty()
    return made


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise CorruptEntry(f"a skeleton has a {type(value).__name__} for a {kind.__name__}")
    return value
