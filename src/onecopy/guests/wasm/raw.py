"""Calls into a guest and out of it, without wasmtime's conversions.

`wasmtime.Func` converts every argument through a tagged union, 9 to 37 µs a call. The unchecked
calls of its C API take an array of 16-byte cells instead, about 1 µs; what makes them safe is that
the signature is checked once, when the call is prepared.
"""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.errors import InvalidModule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import wasmtime

_CELL: Final = 16
_ARGUMENTS: Final = 16
_SEEN: Final = 64
_C_TYPES: Final[dict[str, Any]] = {
    "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
}
_CALLBACK = ctypes.CFUNCTYPE(
    *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
)


class Trapped(Exception):
    """A call did not return; `cause` is wasmtime's trap or error."""

    def __init__(self, cause: Any) -> None:
        super().__init__(str(cause))
        self.cause = cause


def entry(name: str) -> int:
    """Return the address of a function of wasmtime's C API."""
    from wasmtime import _ffi

    return ctypes.cast(getattr(_ffi.dll, name), ctypes.c_void_p).value or 0


@functools.cache
def _unchecked() -> Callable[..., int | None]:
    pointer = ctypes.c_void_p
    prototype = ctypes.CFUNCTYPE(pointer, pointer, pointer, pointer, ctypes.c_size_t, pointer)
    return prototype(entry("wasmtime_func_call_unchecked"))


def deadline_setter(store: wasmtime.Store) -> Callable[[int], None]:
    """Return what sets the epochs that calls into a store may take: 0.2 µs, twice in each call."""
    context = ctypes.cast(store._context(), ctypes.c_void_p).value
    return functools.partial(_set_deadline(), context)


@functools.cache
def _set_deadline() -> Callable[..., None]:
    # With the interpreter's lock kept: it stores one number.
    prototype = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64)
    return prototype(entry("wasmtime_context_set_epoch_deadline"))


class Export:
    """A function of a guest, prepared: call it with plain numbers, get one or None back.

    Not for two threads at once: the cells are its own, and so is the guest.
    """

    def __init__(self, store: wasmtime.Store, name: str, function: wasmtime.Func) -> None:
        kind = function.type(store)
        params = [str(each) for each in kind.params]
        results = [str(each) for each in kind.results]
        check_signature(name, params, results)
        self.name = name
        self.params = tuple(params)
        self.result = results[0] if results else None
        self.arity = len(params)
        self._store = store  # The pointers below are into it.
        self._function = function
        self._call = _unchecked()
        self._cells = (ctypes.c_char * (_CELL * _ARGUMENTS))()
        base = ctypes.addressof(self._cells)
        self._params = [
            _C_TYPES[each].from_address(base + _CELL * i) for i, each in enumerate(params)
        ]
        self._result = _C_TYPES[results[0]].from_address(base) if results else None
        self._trap = ctypes.c_void_p()
        self.pointers = (
            ctypes.cast(store._context(), ctypes.c_void_p).value,
            ctypes.addressof(function._func),
            base,
            max(len(params), len(results)),
            ctypes.addressof(self._trap),
        )
        """What `wasmtime_func_call_unchecked` is called with."""

    def __call__(self, *arguments: float) -> Any:
        """Call it; integers wrap around, as C's do.

        Raises:
            TypeError: the wrong number of arguments.
            Trapped: it did not return.
        """
        if len(arguments) != self.arity:
            raise TypeError(f"{self.name} takes {self.arity} arguments, not {len(arguments)}")
        if arguments:
            for cell, value in zip(self._params, arguments, strict=True):
                cell.value = value
        return self.bare()

    def bare(self) -> Any:
        """Call it without arguments, which it must not have."""
        return self.ended(self._call(*self.pointers))

    def ended(self, error: int | None) -> Any:
        """Return the result of a call with `pointers` that somebody else has made.

        Args:
            error: what wasmtime's function returned.

        Raises:
            Trapped: the guest did not return.
        """
        if error or self._trap:
            raise Trapped(self._cause(error))
        return None if self._result is None else self._result.value

    def _cause(self, error: int | None) -> Any:
        import wasmtime
        from wasmtime import _ffi

        trap, self._trap.value = self._trap.value, None
        if error:
            failed = ctypes.cast(error, ctypes.POINTER(_ffi.wasmtime_error_t))
            return wasmtime.WasmtimeError._from_ptr(failed)
        trapped = ctypes.cast(trap or 0, ctypes.POINTER(_ffi.wasm_trap_t))
        return wasmtime.Trap._from_ptr(trapped)


def check_signature(name: str, params: Sequence[str], results: Sequence[str]) -> None:
    """Raise `InvalidModule` unless a function takes and returns what can be handed over."""
    if len(params) > _ARGUMENTS or len(results) > 1 or not {*params, *results} <= set(_C_TYPES):
        raise InvalidModule(
            f"{name} has the signature ({', '.join(params)}) -> ({', '.join(results)}); guests "
            f"exchange up to {_ARGUMENTS} numbers and one result: pass the rest in memory"
        )


class Shortcut(NamedTuple):
    """A C function that is called in the place of one in Python, and calls that if it must."""

    code: int
    """Its address; a `host_function` of native/guests.h."""
    environment: int
    """What it is called with first."""
    otherwise: Callable[[int], None]
    """Gets the address of the function in Python."""


class HostFunction:
    """A Python function that a guest may call with numbers; its exceptions trap the guest.

    `failed` gets the exception, and the guest's caller raises it when the trap has arrived there:
    nothing may travel through Wasm frames, and wasmtime's own way is one global for all threads.
    """

    def __init__(
        self,
        store: wasmtime.Store,
        signature: tuple[Sequence[str], Sequence[str]],
        function: Callable[..., int | None],
        failed: Callable[[BaseException], None],
        shortcut: Shortcut | None = None,
    ) -> None:
        import wasmtime
        from wasmtime import _ffi

        params, results = signature
        self._callback = _CALLBACK(_answer(params, results, function, failed))
        code, environment = ctypes.cast(self._callback, ctypes.c_void_p).value or 0, None
        if shortcut is not None:
            shortcut.otherwise(code)
            code, environment = shortcut.code, ctypes.c_void_p(shortcut.environment)
        raw = _ffi.wasmtime_func_t()
        _ffi.wasmtime_func_new_unchecked(
            store._context(),
            _function_type(tuple(params), tuple(results)),
            ctypes.cast(code, _ffi.wasmtime_func_unchecked_callback_t),
            environment,
            ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
            ctypes.byref(raw),
        )
        self.function = wasmtime.Func._from_raw(raw)


@functools.cache
def _function_type(params: tuple[str, ...], results: tuple[str, ...]) -> Any:
    # There are a dozen signatures, and every instance needs all of them; they are never freed.
    import wasmtime

    kind = wasmtime.FuncType(
        [getattr(wasmtime.ValType, each)() for each in params],
        [getattr(wasmtime.ValType, each)() for each in results],
    )
    return kind._consume()


def _answer(
    params: Sequence[str],
    results: Sequence[str],
    function: Callable[..., int | None],
    failed: Callable[[BaseException], None],
) -> Callable[..., int | None]:
    # Addresses and sizes are unsigned in every ABI; i64 offsets stay signed, so that a negative
    # one is seen as such.
    kinds = [(ctypes.c_uint32 if each == "i32" else _C_TYPES[each]) for each in params]
    result = _C_TYPES[results[0]] if results else None
    # A guest calls from the same few depths of its stack, so the cells are where they were.
    seen: dict[int, tuple[list[Any], Any]] = {}

    def look(cells: int) -> tuple[list[Any], Any]:
        if len(seen) == _SEEN:
            seen.clear()
        readers = [kind.from_address(cells + _CELL * i) for i, kind in enumerate(kinds)]
        seen[cells] = found = (readers, result and result.from_address(cells))
        return found

    def answer(_env: int, _caller: int, cells: int, _count: int) -> int | None:
        try:
            readers, out = seen.get(cells) or look(cells)
            value = function(*[each.value for each in readers])
            if out is not None:
                out.value = value
        except BaseException as error:
            failed(error)
            return _trap()
        return None

    return answer


def _trap() -> int | None:
    from wasmtime import _ffi

    text = b"the host ended the call"
    trap = _ffi.wasmtime_trap_new(ctypes.create_string_buffer(text, len(text)), len(text))
    return ctypes.cast(trap, ctypes.c_void_p).value
