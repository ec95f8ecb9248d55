"""Modules of torch, TorchScript's among them, as models from arrays to arrays."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from onecopy.errors import InvalidArgument, InvalidModel
from onecopy.nn.backends import arrays
from onecopy.nn.backends.backend import Port
from onecopy.nn.backends.pytorch.calls import Caller
from onecopy.nn.backends.pytorch.values import tensor_of

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Array

_KINDS = inspect.Parameter


class ModuleModel:
    """A module; its inputs are the arguments of `forward` that may be tensors.

    A module says neither types nor shapes: what does not fit is an error of torch's.
    """

    def __init__(self, module: Any, wanted: Sequence[str], batch: int) -> None:
        self.outputs: tuple[Port, ...] = ()
        self._call = Caller(module)
        arguments = _arguments(module)
        self._repeats = any(each.kind == _KINDS.VAR_POSITIONAL for each in arguments)
        self._positions = [] if wanted else [e.name for e in arguments if _is_positional(e)]
        self.inputs = _selected(arguments, wanted) if wanted else _ports(arguments)
        self.batch = arrays.check_model(batch, self.inputs)

    def infer(self, inputs: Sequence[Array | None]) -> Sequence[Array]:
        """Call the module, as `TensorModel.infer` says."""
        ports = self._ports_for(len(inputs))
        arrays.check(inputs, ports)
        pairs = zip(ports, inputs, strict=False)
        given = {port.name: tensor_of(array) for port, array in pairs if array is not None}
        found, self.outputs = self._call(
            list(given.values()),
            lambda tensors: self._split(dict(zip(given, tensors, strict=True))),
        )
        return found

    def _ports_for(self, count: int) -> tuple[Port, ...]:
        """The ports, and one more for each further input if there are `*args` to take it."""
        more = range(len(self.inputs), count) if self._repeats else range(0)
        return (*self.inputs, *(Port(str(index), "") for index in more))

    def _split(self, given: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """By position as far as there is no gap, and by name from there on."""
        if self._repeats:
            return list(given.values()), {}
        positional = []
        for name in self._positions:
            if name not in given:
                break
            positional.append(given.pop(name))
        return positional, given


def _arguments(module: Any) -> list[inspect.Parameter]:
    if isinstance(module, torch.jit.ScriptModule):
        return _script_arguments(module)
    try:
        return list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError) as error:
        raise InvalidModel(f"{type(module).__name__}.forward has no signature: {error}") from error


def _script_arguments(module: Any) -> list[inspect.Parameter]:
    try:
        arguments = module.forward.schema.arguments[1:]  # Without self.
    except Exception as error:  # Names that are no text among them.
        raise InvalidModel("this TorchScript has no method forward") from error
    return [
        inspect.Parameter(
            argument.name,
            _KINDS.KEYWORD_ONLY if argument.kwarg_only else _KINDS.POSITIONAL_OR_KEYWORD,
            default=argument.default_value if argument.has_default_value() else _KINDS.empty,
            annotation=str(argument.type),
        )
        for argument in arguments
    ]


def _is_positional(argument: inspect.Parameter) -> bool:
    return argument.kind in (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD)


def _is_named(argument: inspect.Parameter) -> bool:
    return argument.kind not in (_KINDS.VAR_POSITIONAL, _KINDS.VAR_KEYWORD)


def _ports(arguments: Sequence[inspect.Parameter]) -> tuple[Port, ...]:
    return tuple(_port(each) for each in arguments if _is_named(each) and _may_be_tensor(each))


def _port(argument: inspect.Parameter) -> Port:
    return Port(argument.name, "", optional=argument.default is not _KINDS.empty)


def _may_be_tensor(argument: inspect.Parameter) -> bool:
    """Whether it is for guests: `bool | None` and the like are not, if they have a default."""
    if argument.annotation is _KINDS.empty or argument.default is _KINDS.empty:
        return True
    return "Tensor" in str(argument.annotation)


def _selected(arguments: Sequence[inspect.Parameter], wanted: Sequence[str]) -> tuple[Port, ...]:
    known = {each.name: each for each in arguments if _is_named(each)}
    for name in wanted:
        if name not in known:
            raise InvalidArgument(f"inputs: forward has no {name!r}; it has {', '.join(known)}")
    if len(set(wanted)) != len(wanted):
        raise InvalidArgument("inputs: a name is there twice")
    return tuple(_port(known[name]) for name in wanted)
