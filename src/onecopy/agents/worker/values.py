"""Values of components as values of JSON, and back.

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

if TYPE_CHECKING:
    from collections.abc import Callable

    Lower = Callable[[Any, Any, Any], None]
    """Puts a value (of a store's context) into a `wasmtime_component_val_t`."""

_CELL: Final = sizeof(ffi.wasmtime_component_val_t)
_AT: Final = ffi.wasmtime_component_val_t.of.offset


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


def _kind(name: str) -> int:
    kind: int = getattr(ffi, f"WASMTIME_COMPONENT_{name.upper()}").value
    return kind


_U8: Final = _kind("u8")
_BYTE: Final = bytes([_U8])
_STRING: Final = _kind("string")
_LIST: Final = _kind("list")
_RECORD: Final = _kind("record")
_TUPLE: Final = _kind("tuple")
_OPTION: Final = _kind("option")
_RESULT: Final = _kind("result")
_VARIANT: Final = _kind("variant")
_ENUM: Final = _kind("enum")
_FLAGS: Final = _kind("flags")
_RESOURCE: Final = _kind("resource")


# ---- from components ----


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
        return _cells(items)[_AT::_CELL].tobytes()
    return [lift(context, items.data[at]) for at in range(items.size)]


def _cells(items: Any) -> memoryview:
    array = c_ubyte * (items.size * _CELL)
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
    **{_kind(name): _field(name) for name in _NUMBERS},
    _kind("bool"): lambda _context, of: bool(of.boolean),
    _kind("char"): lambda _context, of: chr(of.character),
    _STRING: lambda _context, of: _name(of.string),
    _ENUM: lambda _context, of: _name(of.enumeration),
    _LIST: _lift_list,
    _RECORD: _lift_record,
    _TUPLE: _lift_tuple,
    _OPTION: lambda context, of: _lift_inner(context, of.option),
    _VARIANT: lambda context, of: (
        _name(of.variant.discriminant),
        _lift_inner(context, of.variant.val),
    ),
    _RESULT: _lift_result,
    _FLAGS: _lift_flags,
    _RESOURCE: _lift_resource,
}


# ---- to components ----


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
    (low, high), number = _RANGES[name], _kind(name)

    def lower(_context: Any, value: Any, cell: Any) -> None:
        if not low <= value <= high and name[0] != "f":
            raise Unfit(f"a number from {low} to {high}, not {value!r:.100}")
        setattr(cell.of, "boolean" if name == "bool" else name, value)
        cell.kind = number

    return lower


def _ranges() -> dict[str, tuple[int, int]]:
    found = {"bool": (0, 1), "f32": (0, 0), "f64": (0, 0)}
    for bits in (8, 16, 32, 64):
        found[f"u{bits}"] = 0, (1 << bits) - 1
        found[f"s{bits}"] = -(1 << bits - 1), (1 << bits - 1) - 1
    return found


_RANGES: Final = _ranges()


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
        cells = _cells(items)
        cells[::_CELL] = _BYTE * len(data)
        cells[_AT::_CELL] = data
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
