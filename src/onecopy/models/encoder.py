"""From a module to its skeleton and its parts."""

from __future__ import annotations

import weakref
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NoReturn

import torch

from onecopy.errors import UnsupportedValue
from onecopy.models import classes, functions, names
from onecopy.models import skeleton as sk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What transformers sets up again, or does without (how names in the checkpoint were changed):
# nothing to keep, and no reason to refuse.
_TRANSIENT_HOOKS: Final = "transformers.utils.output_capturing"
_TRANSIENT: Final = frozenset(
    {"_output_capturing_hooks_installed", "_weight_conversions", *names.FRESH}
)
_UNLESS_SET: Final = "_use_kernels"

_SCALARS: Final = frozenset({type(None), bool, float, str})

_REMEDY: Final = (
    "save `module.state_dict()` instead, and load it into an instance of your own with load_into"
)


class Encoder:
    """Numbers the objects that hang in a module, and turns each into a plain node once."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, Any]] = []
        self.objects: list[Any] = []
        self.classes: dict[str, int] = {}
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # For else an id might come again.

    def number(self, value: Any, path: str) -> int:
        """Return the number of an object; it is encoded when it is first met."""
        known = self._numbers.get(id(value))
        if known is not None:
            return known
        number = self._numbers[id(value)] = len(self.objects)
        self._alive.append(value)
        self.objects.append(None)  # It has its number already, for it may refer to itself.
        self.objects[number] = self._object(value, path)
        return number

    # ---- objects ----

    def _object(self, value: Any, path: str) -> list[Any]:
        kind = type(value)
        if isinstance(value, torch.nn.Module):
            return self._module(value, path)
        if isinstance(value, torch.Tensor) or kind.__module__ == "numpy":
            return self._part(value, path)
        if kind not in sk.CONTAINERS:
            return self._plain(value, path)
        if kind in (list, set):
            return [sk.CONTAINERS[kind], *self._values(value, path)]
        return [sk.CONTAINERS[kind], *self._items(value.items(), path)]

    def _module(self, module: Any, path: str) -> list[Any]:
        kind = self._kind(type(module), path)
        state = vars(module)
        _refuse_hooks(module, path)
        # Weights first: so their names in the file are those of the state dict.
        weights = [self._named(state[store], path) for store in ("_parameters", "_buffers")]
        children = self._named(state["_modules"], path)
        attributes = self._attributes(module, path)
        transient = sorted(state["_non_persistent_buffers_set"])
        return [sk.MODULE, kind, module.training, attributes, *weights, transient, children]

    def _named(self, members: dict[str, Any], path: str) -> list[Any]:
        found: list[Any] = []
        for name, value in members.items():
            found += name, None if value is None else self.number(value, _join(path, name))
        return found

    def _part(self, value: Any, path: str) -> list[Any]:
        if getattr(value, "_backward_hooks", None):
            _refuse(path, "has hooks; remove them before the save")
        self.parts.append((path, value))
        attributes = self._attributes(value, path) if isinstance(value, torch.Tensor) else []
        return [sk.PART, len(self.parts) - 1, attributes]

    def _plain(self, value: Any, path: str) -> list[Any]:
        kind: type = type(value)
        number = self._kind(kind, path)
        if not classes.has_plain_state(kind):
            _refuse(path, f"is a {classes.path_of(kind)}, whose state is more than attributes")
        return [sk.PLAIN, number, self._attributes(value, path)]

    def _attributes(self, owner: Any, path: str) -> list[Any]:
        found: list[Any] = []
        kind: type = type(owner)
        for name, value in vars(owner).items():
            if name in _TRANSIENT or (name == _UNLESS_SET and not value):
                continue
            where = _join(path, name)
            if names.settable(kind, name) is None:
                _refuse(where, f"replaces what {classes.path_of(kind)} defines")
            found += name, self._value(value, where)
        return found

    def _kind(self, kind: type, path: str) -> int:
        name = classes.path_of(kind)
        if name not in self.classes:
            if _find(name) is not kind:
                _refuse(
                    path,
                    f"is of the class {name}, which may not be rebuilt from a store; if you "
                    "trust it, allow it here and where it is loaded "
                    f"(torch.serialization.add_safe_globals([{kind.__name__}]))",
                    ", or ",
                )
            self.classes[name] = len(self.classes)
        return self.classes[name]

    # ---- values ----

    def _value(self, value: Any, path: str) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        encode = _ENCODERS.get(kind)
        if encode is not None:
            return encode(self, value, path)
        if isinstance(value, Enum):
            return [sk.MEMBER, self._kind(kind, path), value.name]
        if callable(value) and not isinstance(value, torch.nn.Module):
            return _function(value, path)
        return [sk.REFERENCE, self.number(value, path)]

    def _values(self, values: Iterable[Any], path: str) -> list[Any]:
        return [self._value(value, _join(path, i)) for i, value in enumerate(values)]

    def _items(self, items: Iterable[tuple[Any, Any]], path: str) -> list[Any]:
        found: list[Any] = []
        for key, value in items:
            found += self._value(key, path), self._value(value, _join(path, key))
        return found

    def _weak(self, reference: Any, path: str) -> list[Any] | None:
        target = reference()
        return None if target is None else [sk.WEAK, self.number(target, path)]


def _integer(_: Encoder, value: int, path: str) -> Any:  # noqa: ARG001
    return value if -(2**63) <= value < 2**63 else [sk.BIG_INT, str(value)]


_ENCODERS: Final[dict[type, Callable[[Encoder, Any, str], Any]]] = {
    int: _integer,
    tuple: lambda encoder, value, path: [sk.TUPLE, *encoder._values(value, path)],
    frozenset: lambda encoder, value, path: [sk.FROZEN, *encoder._values(value, path)],
    slice: lambda encoder, value, path: [
        sk.SLICE,
        *encoder._values((value.start, value.stop, value.step), path),
    ],
    torch.Size: lambda _, value, __: [sk.SIZE, *value],
    torch.dtype: lambda _, value, __: [sk.DTYPE, str(value).removeprefix("torch.")],
    torch.device: lambda _, value, __: [sk.DEVICE, str(value)],
    weakref.ref: Encoder._weak,
}


def _refuse_hooks(module: Any, path: str) -> None:
    for name in names.FRESH:
        hooks = vars(module).get(name)
        if name.endswith("_hooks") and isinstance(hooks, dict):
            for hook in hooks.values():
                if getattr(hook, "__module__", None) != _TRANSIENT_HOOKS:
                    _refuse(path, f"has hooks ({name}); remove them before the save")


def _function(value: Any, path: str) -> list[Any]:
    name = functions.name_of(value)
    if name is None:
        _refuse(path, f"is {value!r}, and functions are not stored but for activations of torch")
    return [sk.FUNCTION, name]


def _find(path: str) -> type | None:
    try:
        return classes.find(path)
    except UnsupportedValue:
        return None


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _refuse(path: str, reason: str, link: str = "; ") -> NoReturn:
    raise UnsupportedValue(f"{path or 'the module'} {reason}{link}{_REMEDY}")
