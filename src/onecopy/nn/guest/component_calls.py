"""Functions of the host for components, which take and return lists of bytes as `bytes`.

wasmtime's Python API makes a value of 32 bytes of each byte in a list, and converts them one by
one in Python: 250 ms for 128 KiB. Here all the bytes of a list are gathered or spread in one step
of C; the values themselves remain, 3 ms for as much.
"""

from __future__ import annotations

import ctypes
from ctypes import addressof, byref, c_ubyte, sizeof
from typing import TYPE_CHECKING, Any, Final

from wasmtime import _ffi as ffi
from wasmtime.component import U8, FuncType, ListType
from wasmtime.component._enter import catch_exceptions
from wasmtime.component._linker import FUNCTIONS, func_finalize

if TYPE_CHECKING:
    from collections.abc import Callable

    import wasmtime
    from wasmtime.component import LinkerInstance, ValType

_SIZE: Final = sizeof(ffi.wasmtime_component_val_t)
_AT: Final = ffi.wasmtime_component_val_t.of.offset
_BYTE: Final = bytes([ffi.WASMTIME_COMPONENT_U8.value])


def add_function(instance: LinkerInstance, name: str, function: Callable[..., Any]) -> None:
    """Add a function to an instance of a linker, as `LinkerInstance.add_func` does.

    It is called with the store and what the guest passed. A list of bytes, or a list of such, comes
    as `bytes`, and is returned as anything with the buffer protocol.
    """
    encoded = name.encode()
    error = ffi.wasmtime_component_linker_instance_add_func(
        instance.ptr(),
        ctypes.create_string_buffer(encoded),
        len(encoded),
        _called,
        FUNCTIONS.allocate(function),
        func_finalize,
    )
    if error:
        import wasmtime

        raise wasmtime.WasmtimeError._from_ptr(error)


@ffi.wasmtime_component_func_callback_t  # type: ignore[untyped-decorator]
def _called(
    index: int | None, context: Any, kind: Any, given: Any, _given: int, results: Any, _results: int
) -> Any:
    def call(store: wasmtime.StoreContext) -> None:
        with FuncType._from_ptr(kind, owner=store) as signature:
            parameters = [each for _, each in signature.params]
            arguments = [_lift(each, given[at]) for at, each in enumerate(parameters)]
            result = FUNCTIONS.get(index or 0)(store, *arguments)
            if signature.result is not None:
                _lower(store, signature.result, result, results)

    return catch_exceptions(context, call)


def _lift(kind: ValType, value: Any) -> Any:
    if isinstance(kind, ListType):
        if isinstance(kind.element, U8):
            return _bytes_of(value.of.list)
        if _is_bytes(kind.element):
            items = value.of.list
            return [_bytes_of(items.data[at].of.list) for at in range(items.size)]
    return kind.convert_from_c(value)


def _is_bytes(kind: ValType) -> bool:
    return isinstance(kind, ListType) and isinstance(kind.element, U8)


def _bytes_of(items: Any) -> bytes:
    # The values stay wasmtime's: it frees them when the function has returned.
    return _cells(items)[_AT::_SIZE].tobytes() if items.size else b""


def _cells(items: Any) -> memoryview:
    array = c_ubyte * (items.size * _SIZE)
    return memoryview(array.from_address(addressof(items.data.contents))).cast("B")


def _lower(store: wasmtime.StoreContext, kind: ValType, result: Any, out: Any) -> None:
    if not _is_bytes(kind):
        kind.convert_to_c(store, result, out)
        return
    data = memoryview(result).cast("B")
    items = ffi.wasmtime_component_vallist_t()
    ffi.wasmtime_component_vallist_new_uninit(byref(items), len(data))
    if data:
        cells = _cells(items)
        cells[::_SIZE] = _BYTE * len(data)
        cells[_AT::_SIZE] = data
    out.contents.kind = ffi.WASMTIME_COMPONENT_LIST.value
    out.contents.of.list = items
