"""Which classes a skeleton may name, and how they are found: never by importing just anything.

They are those of `torch.nn.modules`, models and configurations of `transformers`, and what
the program has allowed with `torch.serialization.add_safe_globals`, as for
`torch.load(weights_only=True)`.
"""

from __future__ import annotations

import importlib
import re
import sys
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import torch

from onecopy.errors import UnsupportedValue
from onecopy.forks import no_fork

_TORCH: Final = "torch.nn.modules."
# Not compiled here, for most processes never need it.
_TRANSFORMERS: Final = (
    r"transformers\.(models\.\w+\.(modeling|configuration)_\w+|activations|pytorch_utils|"
    r"modeling_layers|generation\.configuration_utils)\.\w+"
)


def path_of(kind: type) -> str:
    """Return the dotted path of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def find(path: str) -> type:
    """Return the class of that path.

    Raises:
        UnsupportedValue: it is not allowed, or not there.
    """
    kind = _allowed_by_user().get(path) or _find_known(path)
    if not isinstance(kind, type):
        raise UnsupportedValue(
            f"the class {path} may not be rebuilt from a store; if you trust it, import it and "
            f"call torch.serialization.add_safe_globals([{path.rpartition('.')[2]}]), or load "
            "the weights into an instance of your own with load_into"
        )
    return kind


def is_transformers(path: str) -> bool:
    """Say whether it depends on the version of transformers how instances look."""
    return path.startswith("transformers.")


def has_plain_state(kind: type) -> bool:
    """Say whether all that instances of a class know is in their `__dict__`."""
    if issubclass(kind, (torch.nn.Module, torch.Tensor, Enum, type)):
        return False
    try:
        instance = object.__new__(kind)
    except TypeError:  # It extends a built-in type, or is abstract.
        return False
    slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    return hasattr(instance, "__dict__") and not slots


def _allowed_by_user() -> dict[str, Any]:
    get = getattr(torch.serialization, "get_safe_globals", None)  # torch 2.3 lacks it.
    allowed = {}
    for item in get() if get else ():
        kind, path = item if isinstance(item, tuple) else (item, None)
        if isinstance(kind, type):
            allowed[path or path_of(kind)] = kind
    return allowed


@lru_cache(maxsize=1024)
def _find_known(path: str) -> type | None:
    module_name, _, name = path.rpartition(".")
    if path.startswith(_TORCH):
        # All of these modules were imported with torch.
        found = getattr(sys.modules.get(module_name), name, None)
        return found if _is_defined_as(found, path, torch.nn.Module) else None
    if re.fullmatch(_TRANSFORMERS, path, re.ASCII):
        found = getattr(_import(module_name), name, None)
        return found if _is_defined_as(found, path, torch.nn.Module, *_configurations()) else None
    return None


def _import(name: str) -> Any:
    try:
        with no_fork:
            return importlib.import_module(name)
    except ImportError as error:
        raise UnsupportedValue(
            f"this module needs {name}, which cannot be imported here ({error}); "
            "run `pip install transformers`, in the version that it was saved with"
        ) from error


def _configurations() -> tuple[type, ...]:
    return tuple(
        getattr(_import(f"transformers.{module}"), name)
        for module, name in (
            ("configuration_utils", "PretrainedConfig"),
            ("generation.configuration_utils", "GenerationConfig"),
        )
    )


def _is_defined_as(found: Any, path: str, *bases: type) -> bool:
    """Say whether it is a class that was defined under that name, and not imported there."""
    return isinstance(found, type) and issubclass(found, bases) and path_of(found) == path
