"""Values of JSON as values of components: what puts them where a component finds them.

For each type it is made once, and then used for all values.
"""

from __future__ import annotations

import ctypes
import math
from ctypes import byref
from typing import TYPE_CHECKING, Any, Final

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import (
    EnumType,
    FlagsType,
    ListType,
    OptionType,
    OwnType,
    RecordType,
    ResultType,
    TupleType,
    VariantType,
)

from onecopy.agents.worker.values import AT, CELL, Ok, Unfit, cells
from onecopy.agents.worker.values import kind as number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Lower = Callable[[Any, Any, Any], None]
    """Puts a value (of a store's context) into a `wasmtime_component_val_t`."""

_U8: Final = number_of("u8")
_BYTE: Final = bytes([_U8])
_STRING: Final = number_of("string")
_LIST: Final = number_of("list")
_RECORD: Final = number_of("record")
_TUPLE: Final = number_of("tuple")
_OPTION: Final = number_of("option")
_RESULT: Final = number_of("result")
_VARIANT: Final = number_of("variant")
_ENUM: Final = number_of("enum")
_FLAGS: Final = number_of("flags")
_RESOURCE: Final = number_of("resource")


def lowering(kind: Any) -> Lower:
    """Return what puts values of a type where a component finds them; it raises `Unfit`."""
    make = _LOWERINGS.get(type(kind))
    return make(kind) if make else _scalar(type(kind).__name__.lower())


def lower_string(_context: Any, value: Any, cell: Any) -> None:
    """Put a string into a cell."""
    if not isinstance(value, str):
        raise Unfit(f"a string, not {value!r:.100}")
    _set_name(cell.of.string, value)
    cell.kind = _STRING


def _set_name(vector: Any, text: str) -> None:
    # A lone surrogate, as JSON can have it, is no character of a component's strings.
    data = text.encode(errors="replace")
    ffi.wasm_byte_vec_new_uninitialized(byref(vector), len(data))
    if data:
        ctypes.memmove(vector.data, data, len(data))


def _scalar(name: str) -> Lower:
    if name == "string":
        return lower_string
    if name not in _RANGES:
        raise Unfit(f"a type that this host knows, not {name}")
    (low, high), number = _RANGES[name], number_of(name)
    field, kinds = _FIELDS.get(name, (name, (int,)))

    def lower(_context: Any, value: Any, cell: Any) -> None:
        if not (isinstance(value, kinds) and low <= value <= high):
            raise Unfit(f"a number of type {name}, not {value!r:.100}")
        setattr(cell.of, field, value)
        cell.kind = number

    return lower


def _ranges() -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {"bool": (0, 1)}
    for bits in (8, 16, 32, 64):
        found[f"u{bits}"] = 0, (1 << bits) - 1
        found[f"s{bits}"] = -(1 << bits - 1), (1 << bits - 1) - 1
    return {**found, "f32": (-math.inf, math.inf), "f64": (-math.inf, math.inf)}


_RANGES: Final = _ranges()
_FIELDS: Final[dict[str, tuple[str, tuple[type[float], ...]]]] = {
    "bool": ("boolean", (bool,)),
    "f32": ("f32", (int, float)),
    "f64": ("f64", (int, float)),
}


def _lowering_list(kind: ListType) -> Lower:
    element = kind.element
    if type(element).__name__ == "U8":
        return _lower_bytes
    lower = lowering(element)

    def lower_list(context: Any, value: Any, cell: Any) -> None:
        items = ffi.wasmtime_component_vallist_t()
        _fill(context, ffi.wasmtime_component_vallist_new_uninit, items, value, lower)
        cell.of.list = items
        cell.kind = _LIST

    return lower_list


def _fill(context: Any, new: Any, items: Any, values: Any, lower: Lower) -> None:
    if not isinstance(values, (list, tuple)):
        raise Unfit(f"a list, not {values!r:.100}")
    new(byref(items), len(values))
    for at, each in enumerate(values):
        lower(context, each, items.data[at])


def _lower_bytes(_context: Any, value: Any, cell: Any) -> None:
    data = memoryview(value).cast("B")
    items = ffi.wasmtime_component_vallist_t()
    ffi.wasmtime_component_vallist_new_uninit(byref(items), len(data))
    if data:
        spread = cells(items)
        spread[::CELL] = _BYTE * len(data)
        spread[AT::CELL] = data
    cell.of.list = items
    cell.kind = _LIST


def _lowering_record(kind: RecordType) -> Lower:
    fields = [(name, lowering(each)) for name, each in kind.fields]

    def lower(context: Any, value: Any, cell: Any) -> None:
        if not isinstance(value, dict) or any(name not in value for name, _ in fields):
            names = ", ".join(name for name, _ in fields)
            raise Unfit(f"an object with {names}, not {value!r:.100}")
        items = ffi.wasmtime_component_valrecord_t()
        ffi.wasmtime_component_valrecord_new_uninit(byref(items), len(fields))
        for at, (name, each) in enumerate(fields):
            _set_name(items.data[at].name, name)
            each(context, value[name], items.data[at].val)
        cell.of.record = items
        cell.kind = _RECORD

    return lower


def _lowering_tuple(kind: TupleType) -> Lower:
    elements = [lowering(each) for each in kind.elements]

    def lower(context: Any, value: Any, cell: Any) -> None:
        if not isinstance(value, (list, tuple)) or len(value) != len(elements):
            raise Unfit(f"a list of {len(elements)}, not {value!r:.100}")
        items = ffi.wasmtime_component_valtuple_t()
        ffi.wasmtime_component_valtuple_new_uninit(byref(items), len(elements))
        for at, each in enumerate(elements):
            each(context, value[at], items.data[at])
        cell.of.tuple = items
        cell.kind = _TUPLE

    return lower


def _inner(lower: Lower | None, context: Any, value: Any) -> Any:
    if lower is None:
        return None
    cell = ffi.wasmtime_component_val_t()
    lower(context, value, cell)
    return ffi.wasmtime_component_val_new(byref(cell))


def _lowering_option(kind: OptionType) -> Lower:
    payload = lowering(kind.payload)

    def lower(context: Any, value: Any, cell: Any) -> None:
        cell.of.option = None if value is None else _inner(payload, context, value)
        cell.kind = _OPTION

    return lower


def _lowering_result(kind: ResultType) -> Lower:
    ok = None if kind.ok is None else lowering(kind.ok)
    err = None if kind.err is None else lowering(kind.err)

    def lower(context: Any, value: Any, cell: Any) -> None:
        is_ok = isinstance(value, Ok)
        inner = _inner(ok if is_ok else err, context, value.value)
        cell.of.result.is_ok = is_ok
        cell.of.result.val = inner
        cell.kind = _RESULT

    return lower


def _lowering_variant(kind: VariantType) -> Lower:
    cases = {name: None if each is None else lowering(each) for name, each in kind.cases}

    def lower(context: Any, value: Any, cell: Any) -> None:
        name, payload = value
        inner = _inner(cases[name], context, payload)
        _set_name(cell.of.variant.discriminant, name)
        cell.of.variant.val = inner
        cell.kind = _VARIANT

    return lower


def _lowering_enum(kind: EnumType) -> Lower:
    names = frozenset(kind.names)

    def lower(_context: Any, value: Any, cell: Any) -> None:
        if value not in names:
            raise Unfit(f"one of {', '.join(sorted(names))}, not {value!r:.100}")
        _set_name(cell.of.enumeration, value)
        cell.kind = _ENUM

    return lower


def _lowering_own(_kind_of: OwnType) -> Lower:
    def lower(context: Any, value: Any, cell: Any) -> None:
        host = ffi.wasmtime_component_resource_host_new(True, value.number, value.kind)
        pointer = ctypes.POINTER(ffi.wasmtime_component_resource_any_t)()
        error = ffi.wasmtime_component_resource_host_to_any(context, host, byref(pointer))
        ffi.wasmtime_component_resource_host_delete(host)
        if error:
            raise WasmtimeError._from_ptr(error)
        cell.of.resource = pointer
        cell.kind = _RESOURCE

    return lower


def _lowering_flags(_kind_of: FlagsType) -> Lower:
    def lower(_context: Any, _value: Any, cell: Any) -> None:
        ffi.wasmtime_component_valflags_new_empty(byref(cell.of.flags))
        cell.kind = _FLAGS

    return lower


_LOWERINGS: Final[dict[type, Callable[[Any], Lower]]] = {
    ListType: _lowering_list,
    RecordType: _lowering_record,
    TupleType: _lowering_tuple,
    OptionType: _lowering_option,
    ResultType: _lowering_result,
    VariantType: _lowering_variant,
    EnumType: _lowering_enum,
    OwnType: _lowering_own,
    FlagsType: _lowering_flags,
}
