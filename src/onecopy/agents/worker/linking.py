"""What a component imports, defined as functions of the run that calls them.

The functions are defined once in a process, for all of its runs; which run calls is known by the
thread. Nothing that they raise reaches wasmtime's Python API, which passes exceptions through one
global, from one thread to another: it ends the run, and becomes a trap.
"""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import Linker, ResourceType

from onecopy.agents.worker import wasi, world
from onecopy.agents.worker.agent_calls import agent_function
from onecopy.agents.worker.engine import engine
from onecopy.agents.worker.lowering import lowering
from onecopy.agents.worker.run import Stop
from onecopy.agents.worker.values import Unfit, lift

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmtime.component import Component, FuncType, LinkerInstance

    from onecopy.agents.worker.lowering import Lower
    from onecopy.agents.worker.run import Run

    Function = Callable[..., Any]
    """Is called with the run and the guest's arguments, and returns the result."""


class _Local(threading.local):
    run: Run | None = None


local: Final = _Local()
"""The run of this thread."""


class _Defined(NamedTuple):
    name: str
    function: Function
    lower: Lower | None


_defined: Final[list[_Defined]] = []


def link(component: Component) -> Linker:
    """Return a linker with all that a checked component imports."""
    linker = Linker(engine())
    with linker.root() as root:
        for name, each in component.type.imports(engine()).items():
            with root.add_instance(name) as instance:
                _define(instance, name, each)
    return linker


def _define(instance: LinkerInstance, name: str, imported: Any) -> None:
    known = world.interface(name)
    if known is None:
        for resource in wasi.resources(name):
            instance.add_resource(resource.name, ResourceType.host(resource.kind), _dropped)
    for function, signature in world.functions(imported):
        what = (
            wasi.function(name, function, signature)
            if known is None
            else agent_function(known, function)
        )
        _add(instance, f"{name}.{function}", function, signature, what)


def _add(
    instance: LinkerInstance, label: str, name: str, signature: FuncType, what: Function
) -> None:
    result = signature.result
    _defined.append(_Defined(label, what, None if result is None else lowering(result)))
    encoded = name.encode()
    error = ffi.wasmtime_component_linker_instance_add_func(
        instance.ptr(),
        ctypes.create_string_buffer(encoded),
        len(encoded),
        _called,
        len(_defined) - 1,
        _no_finalizer,
    )
    if error:
        raise WasmtimeError._from_ptr(error)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # type: ignore[untyped-decorator]
def _no_finalizer(_index: int | None) -> None:
    """Functions stay for as long as the process."""


def _dropped(_store: Any, number: int) -> None:
    if local.run is not None:
        local.run.holdings.dropped(number)


@ffi.wasmtime_component_func_callback_t  # type: ignore[untyped-decorator]
def _called(
    index: int | None, context: Any, _kind: Any, given: Any, count: int, results: Any, _results: int
) -> int:
    run = local.run
    try:
        defined = _defined[index or 0]
        assert run is not None
        arguments = [lift(context, given[at]) for at in range(count)]
        result = defined.function(run, *arguments)
        if defined.lower is not None:
            defined.lower(context, result, results[0])
        return 0
    except BaseException as error:
        return trap(_reason(run, defined.name, error))


def _reason(run: Run | None, name: str, error: BaseException) -> str:
    if isinstance(error, Stop):
        text = str(error)
    elif isinstance(error, Unfit):
        text = f"{name}: the host's answer is no {name.rpartition('.')[2]}: it needs {error}"
    else:
        text = (
            f"{name} failed in the worker; this is a fault of onecopy, not the agent's: "
            f"{type(error).__name__}: {error}"
        )
    if run is not None:
        run.fail(text)
    return text


def trap(text: str) -> int:
    """Return an error by which wasmtime stops the guest, as its address."""
    encoded = text.encode(errors="replace").replace(b"\0", b"")
    error = ffi.wasmtime_error_new(ctypes.create_string_buffer(encoded))
    return ctypes.cast(error, ctypes.c_void_p).value or 0


@ctypes.CFUNCTYPE(
    ctypes.c_size_t,
    ctypes.POINTER(ffi.wasmtime_context_t),
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint64),
    ctypes.POINTER(ffi.wasmtime_update_deadline_kind_t),
)  # type: ignore[untyped-decorator]
def ticked(_context: Any, _data: Any, delta: Any, kind: Any) -> int:
    """Called in a guest's thread at each tick: let it go on for one more, or stop it."""
    run = local.run
    try:
        assert run is not None
        run.check()
    except BaseException as error:
        return trap(_reason(run, "handle", error))
    delta[0] = 1
    kind[0] = 0
    return 0


def interrupt_at_ticks(store: Any) -> None:
    """Have `ticked` called while the guest of a store computes."""
    ffi.wasmtime_store_epoch_deadline_callback(store.ptr(), ticked, None, _no_finalizer)
    store.set_epoch_deadline(1)
