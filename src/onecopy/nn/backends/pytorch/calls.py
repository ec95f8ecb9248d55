"""Calls of modules with tensors in memory that is not theirs to write to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from onecopy.nn.backends import failures
from onecopy.nn.backends.pytorch.values import results

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Array, Port

Arguments = tuple[Sequence[Any], dict[str, Any]]


class Caller:
    """Calls a module, which is given copies as long as it was seen to write to its inputs.

    Some do, such as a network that begins with `nn.ReLU(inplace=True)`, and the others pay
    for one copy, at the first call.
    """

    def __init__(self, module: Callable[..., Any]) -> None:
        self._module = module
        self._writes = True  # Until a call has shown otherwise.

    def __call__(
        self, inputs: Sequence[Any], arrange: Callable[[list[Any]], Arguments]
    ) -> tuple[list[Array], tuple[Port, ...]]:
        """Return the results as arrays, and their ports; `arrange` makes arguments of the inputs.

        Raises:
            InferenceFailed: the module raised; the text has its reason.
        """
        used = [_copy(each) if self._writes else each for each in inputs]
        before = _versions(used)
        positional, named = arrange(used)
        with failures.computing("torch"), torch.inference_mode():
            found = results(self._module(*positional, **named))
        self._writes = before != _versions(used)
        return found


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _versions(values: Sequence[Any]) -> list[int]:
    """How often each tensor was written to, by torch's own count."""
    return [value._version for value in values if isinstance(value, torch.Tensor)]
