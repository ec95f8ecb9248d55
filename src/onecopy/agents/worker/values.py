"""Values of components as values of JSON; `lowering` is the way back.

wasmtime's Python API has conversions of its own; these are used instead because its `result` of
an option takes errors for successes, its lists of bytes are slow, and each of its calls asks for
the types anew. Records are dicts, options None or the value, tuples and lists are lists, enums
strings; results are `Ok` or `Err`, variants `(case, value)`, resources `Handle`s.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_ubyte, sizeof
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi

if TYPE_CHECKING:
    from collections.abc import Callable

CELL: Final = sizeof(ffi.wasmtime_component_val_t)
AT: Final = ffi.wasmtime_component_val_t.of.offset
"""Where in a cell the value is."""


class Ok(NamedTuple):
    """A result that is a success."""

    value: Any = None


class Err(NamedTuple):
    """A result that is an error."""

    value: Any = None


class Handle(NamedTuple):
    """A resource of the host that a component shall own: which kind, and which of them."""

    kind: int
    number: int


class Unfit(Exception):
    """A value is not of the type that it should have."""


def kind(name: str) -> int:
    """Return the number of a kind of values, such as `list`."""
    number: int = getattr(ffi, f"WASMTIME_COMPONENT_{name.upper()}").value
    return number


_U8: Final = kind("u8")


def lift(context: Any, cell: Any) -> Any:
    """Return the value in a `wasmtime_component_val_t`; it stays there, and its owner's."""
    return _LIFTS[cell.kind](context, cell.of)


def _name(vector: Any) -> str:
    return ctypes.string_at(vector.data, vector.size).decode() if vector.size else ""


def _lift_list(context: Any, of: Any) -> Any:
    items = of.list
    if not items.size:
        return []
    if items.data[0].kind == _U8:
        return cells(items)[AT::CELL].tobytes()
    return [lift(context, items.data[at]) for at in range(items.size)]


def cells(items: Any) -> memoryview:
    """Return the bytes of all cells of a list; there is one at least."""
    array = c_ubyte * (items.size * CELL)
    return memoryview(array.from_address(ctypes.addressof(items.data.contents))).cast("B")


def _lift_record(context: Any, of: Any) -> dict[str, Any]:
    items = of.record
    entries = (items.data[at] for at in range(items.size))
    return {_name(each.name): lift(context, each.val) for each in entries}


def _lift_tuple(context: Any, of: Any) -> list[Any]:
    items = of.tuple
    return [lift(context, items.data[at]) for at in range(items.size)]


def _lift_inner(context: Any, pointer: Any) -> Any:
    return lift(context, pointer.contents) if pointer else None


def _lift_result(context: Any, of: Any) -> Ok | Err:
    value = _lift_inner(context, of.result.val)
    return Ok(value) if of.result.is_ok else Err(value)


def _lift_flags(_context: Any, of: Any) -> list[str]:
    items = of.flags
    return [_name(items.data[at]) for at in range(items.size)]


def _lift_resource(context: Any, of: Any) -> int:
    pointer = ctypes.POINTER(ffi.wasmtime_component_resource_host_t)()
    error = ffi.wasmtime_component_resource_any_to_host(context, of.resource, byref(pointer))
    if error:
        raise WasmtimeError._from_ptr(error)
    number: int = ffi.wasmtime_component_resource_host_rep(pointer)
    ffi.wasmtime_component_resource_host_delete(pointer)
    return number


_NUMBERS: Final = ("s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64")


def _field(name: str) -> Callable[[Any, Any], Any]:
    return lambda _context, of: getattr(of, name)


_LIFTS: Final[dict[int, Callable[[Any, Any], Any]]] = {
    **{kind(name): _field(name) for name in _NUMBERS},
    kind("bool"): lambda _context, of: bool(of.boolean),
    kind("char"): lambda _context, of: chr(of.character),
    kind("string"): lambda _context, of: _name(of.string),
    kind("enum"): lambda _context, of: _name(of.enumeration),
    kind("list"): _lift_list,
    kind("record"): _lift_record,
    kind("tuple"): _lift_tuple,
    kind("option"): lambda context, of: _lift_inner(context, of.option),
    kind("variant"): lambda context, of: (
        _name(of.variant.discriminant),
        _lift_inner(context, of.variant.val),
    ),
    kind("result"): _lift_result,
    kind("flags"): _lift_flags,
    kind("resource"): _lift_resource,
}
