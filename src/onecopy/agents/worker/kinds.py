"""Types of components as text, to compare and to show: `result<option<string>, u8>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wasmtime import _ffi as ffi
from wasmtime.component import (
    BorrowType,
    EnumType,
    FlagsType,
    FuncType,
    ListType,
    OptionType,
    OwnType,
    RecordType,
    ResultType,
    TupleType,
    VariantType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def signature(function: FuncType) -> str:
    """Return a function's type, with the names of its parameters."""
    head = "async func" if ffi.wasmtime_component_func_type_async(function.ptr()) else "func"
    parameters = _fields(function.params)
    result = "" if function.result is None else f" -> {text(function.result)}"
    return f"{head}({parameters}){result}"


def text(kind: Any) -> str:
    """Return a type; resources have no names, they are `own` or `borrow`."""
    if kind is None:
        return "_"
    spell = _SPELLED.get(type(kind))
    return spell(kind) if spell else type(kind).__name__.lower()


def _fields(fields: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name}: {text(kind)}" for name, kind in fields)


def _result(kind: ResultType) -> str:
    return f"result<{text(kind.ok)}, {text(kind.err)}>"


_SPELLED: dict[type, Any] = {
    ListType: lambda kind: f"list<{text(kind.element)}>",
    OptionType: lambda kind: f"option<{text(kind.payload)}>",
    TupleType: lambda kind: f"tuple<{', '.join(map(text, kind.elements))}>",
    RecordType: lambda kind: f"record{{{_fields(kind.fields)}}}",
    VariantType: lambda kind: f"variant{{{_fields(kind.cases)}}}",
    EnumType: lambda kind: f"enum{{{', '.join(kind.names)}}}",
    FlagsType: lambda kind: f"flags{{{', '.join(kind.names)}}}",
    ResultType: _result,
    OwnType: lambda _: "own",
    BorrowType: lambda _: "borrow",
}
