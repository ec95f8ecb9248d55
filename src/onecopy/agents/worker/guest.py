"""The instance of an agent for one run, from its making to what `handle` returns."""

from __future__ import annotations

import resource
import time
from ctypes import byref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import wasmtime
from wasmtime import _ffi as ffi

from onecopy.agents import outcome
from onecopy.agents.worker import world
from onecopy.agents.worker.engine import engine, ticker
from onecopy.agents.worker.limits import SAID_NBYTES, TEXT_LIMIT
from onecopy.agents.worker.linking import interrupt_at_ticks, local
from onecopy.agents.worker.lowering import lower_string
from onecopy.agents.worker.messages import Ended
from onecopy.agents.worker.values import Err, Ok, lift

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmtime.component import Component, Linker

    from onecopy.agents.worker.run import Run

    Handle = Callable[[str], Ok | Err]

_COUNTS: Final = {"table_elements": 1 << 20, "instances": 1000, "tables": 1000}
_LINE_LIMIT: Final = 200
_PAGE: Final = resource.getpagesize()


class _Result(NamedTuple):
    status: str
    text: str


class Guest:
    """What a component runs in; made once in a process."""

    def __init__(self, component: Component, linker: Linker) -> None:
        self._component = component
        self._linker = linker

    def run(self, run: Run) -> Ended:
        """Run the agent in this thread, which has run none before."""
        began = [0.0]

        def act(handle: Handle) -> _Result:
            began[0] = time.monotonic()
            return _returned(handle(run.begin.event))

        result = self._with_handle(run, act)
        run.holdings.flush()
        return Ended(
            run.begin.run,
            *result,
            max(began[0] - run.begin.asked, 0.0) * 1e3 if began[0] else 0.0,
            run.seconds,
            time.thread_time(),
            resource.getrusage(resource.RUSAGE_THREAD).ru_minflt * _PAGE,
        )

    def fault(self, run: Run) -> str:
        """Return why no run could begin, or nothing; in a thread that has run none before."""
        result = self._with_handle(run, lambda _: _Result(outcome.OK, ""))
        # What it does before `handle` is for its runs to see.
        return "" if run.failure else result.text

    def _with_handle(self, run: Run, act: Callable[[Handle], _Result]) -> _Result:
        local.run = run
        ticker.start()
        store = wasmtime.Store(engine())
        try:
            store.set_limits(
                memory_size=run.limits.memory if run.limits.each is None else run.limits.each,
                memories=run.limits.memories,
                **_COUNTS,
            )
            interrupt_at_ticks(store)
            instance = self._linker.instantiate(store, self._component)
            handle = instance.get_func(store, world.HANDLE)
            return act(lambda event: _call(store, handle, event))
        except wasmtime.WasmtimeError as error:
            return _failed(run, _explained(str(error), run))
        except BaseException as error:
            return _failed(run, f"the worker failed: {type(error).__name__}: {error}")
        finally:
            store.close()
            ticker.stop()
            local.run = None


def _call(store: wasmtime.Store, handle: Any, event: str) -> Ok | Err:
    given = ffi.wasmtime_component_val_t()
    result = ffi.wasmtime_component_val_t()
    context = store._context()
    lower_string(context, event, given)
    try:
        error = ffi.wasmtime_component_func_call(
            byref(handle._func), context, byref(given), 1, byref(result), 1
        )
    finally:
        ffi.wasmtime_component_val_delete(byref(given))
    if error:
        raise wasmtime.WasmtimeError._from_ptr(error)
    try:
        value: Ok | Err = lift(context, result)
        return value
    finally:
        ffi.wasmtime_component_val_delete(byref(result))


def _returned(value: Ok | Err) -> _Result:
    text = value.value
    if len(text.encode()) > SAID_NBYTES:
        return _Result(outcome.FAILED, f"the agent returned more than {SAID_NBYTES >> 20} MiB")
    return _Result(outcome.OK if isinstance(value, Ok) else outcome.ERROR, text)


def _failed(run: Run, text: str) -> _Result:
    return _Result(outcome.FAILED, (run.failure or text)[:TEXT_LIMIT])


def _explained(text: str, run: Run) -> str:
    trace, _, cause = text.partition("Caused by:")
    cause = cause.strip() or text
    if "call stack exhausted" in cause:
        return f"the agent recursed too deeply: {cause}"
    if "memory minimum size" in text:
        return (
            f"the agent needs more memory than {run.limits.memory} bytes; raise `memory` under "
            f"[limits] in agent.toml ({cause})"
        )
    words = "\n".join(each[:_LINE_LIMIT] for each in run.holdings.last_words)
    return f"the agent trapped: {cause}\n{words or trace}".rstrip()
