"""The interfaces of `wasi:nn` for components, on graphs and contexts.

Source: `wit/wasi-nn.wit` of WebAssembly/wasi-nn at 0.2.0-rc-2024-10-28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from wasmtime.component import Variant

from onecopy import errors
from onecopy.nn.guest.component_calls import add_function
from onecopy.nn.guest.component_resources import Resources
from onecopy.nn.guest.component_running import Running, Tensor
from onecopy.nn.guest.refusals import LONGEST, errno_of
from onecopy.nn.standard import Errno

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wasmtime import StoreContext
    from wasmtime.component import Linker, LinkerInstance, ResourceAny, ResourceHost

    from onecopy.nn.graph import Graph

    Report = Callable[[str, Errno, BaseException], object]
    _Functions = dict[str, Callable[..., Any]]

VERSION: Final = "0.2.0-rc-2024-10-28"
_TOLD_TO_HOST: Final = "the host's log says why"
# As `refusals` has it for modules, in the words of this interface.
_CODES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (errors.ModelNotFound, "not-found"),
    (errors.BackendMissing, "invalid-encoding"),
    (errors.UnsupportedOperation, "unsupported-operation"),
    (errors.AccessDenied, "security"),
    (errors.WaitTimeout, "timeout"),
    (errors.PromptTooLong, "too-large"),
    (errors.InferenceFailed, "runtime-error"),
    (errors.InvalidModel, "invalid-argument"),
    (errors.InvalidArgument, "invalid-argument"),
    (errors.LimitReached, "too-large"),
    (MemoryError, "too-large"),
)


class Error(NamedTuple):
    """An error that a component was given instead of a result."""

    code: str
    """One of the names of the enumeration `error-code`."""
    text: str


class Models(Protocol):
    """Where graphs come from: a host, or in a guest's process what asks one."""

    def load(self, name: str, config: str = "") -> Graph:
        """Load a model by name, as `Host.load` does."""
        ...

    def load_bytes(
        self, builders: Sequence[bytes | memoryview], encoding: str, target: str
    ) -> Graph:
        """Load a model from bytes, as `Host.load_bytes` does."""
        ...


class Inference:
    """`wasi:nn` for one component; `report` is told why which call was refused."""

    def __init__(self, models: Models, resources: Resources, report: Report) -> None:
        self._models = models
        self._resources = resources
        self._report = report

    def define(self, linker: Linker) -> None:
        """Define all four interfaces, and the resources in them, in a linker."""
        graph: _Functions = {
            "[method]graph.init-execution-context": self._init_execution_context,
            "load": self._load,
            "load-by-name": self._load_by_name,
        }
        tensor: _Functions = {
            "[constructor]tensor": self._new_tensor,
            "[method]tensor.dimensions": self._dimensions,
            "[method]tensor.ty": self._ty,
            "[method]tensor.data": self._data,
        }
        compute: _Functions = {"[method]graph-execution-context.compute": self._compute}
        error: _Functions = {"[method]error.code": self._code, "[method]error.data": self._text}
        with linker.root() as root:
            self._interface(root, "tensor", "tensor", tensor)
            self._interface(root, "errors", "error", error)
            self._interface(root, "inference", "graph-execution-context", compute)
            self._interface(root, "graph", "graph", graph)

    def _interface(
        self,
        root: LinkerInstance,
        name: str,
        resource: str,
        functions: _Functions,
    ) -> None:
        with root.add_instance(f"wasi:nn/{name}@{VERSION}") as instance:
            self._resources.define(instance, resource)
            for each, function in functions.items():
                add_function(instance, each, function)

    # ---- tensor ----

    def _new_tensor(
        self, _store: StoreContext, dimensions: list[int], kind: str, data: bytes
    ) -> ResourceHost:
        # A constructor cannot fail: whether the bytes fit the dimensions is asked at `compute`.
        return self._resources.hand_out("tensor", Tensor(dimensions, kind, data))

    def _dimensions(self, store: StoreContext, self_: ResourceAny) -> list[int]:
        tensor: Tensor = self._resources.behind(store, self_)
        return tensor.dimensions

    def _ty(self, store: StoreContext, self_: ResourceAny) -> str:
        tensor: Tensor = self._resources.behind(store, self_)
        return tensor.kind

    def _data(self, store: StoreContext, self_: ResourceAny) -> bytes:
        tensor: Tensor = self._resources.behind(store, self_)
        return tensor.data

    # ---- errors ----

    def _code(self, store: StoreContext, self_: ResourceAny) -> str:
        error: Error = self._resources.behind(store, self_)
        return error.code

    def _text(self, store: StoreContext, self_: ResourceAny) -> str:
        error: Error = self._resources.behind(store, self_)
        return error.text

    def _error(self, function: str, error: Exception, text: str = "") -> ResourceHost:
        self._report(function, errno_of(error) or Errno.RUNTIME_ERROR, error)
        code = next((code for kind, code in _CODES if isinstance(error, kind)), "unknown")
        return self._resources.hand_out("error", Error(code, text or str(error)[:LONGEST]))

    # ---- graph ----

    def _load(
        self, _store: StoreContext, builders: list[bytes], encoding: str, target: str
    ) -> Variant:
        return self._graph("load", lambda: self._models.load_bytes(builders, encoding, target))

    def _load_by_name(self, _store: StoreContext, name: str) -> Variant:
        return self._graph("load-by-name", lambda: self._models.load(name))

    def _graph(self, function: str, load: Callable[[], Graph]) -> Variant:
        try:
            return Variant("ok", self._resources.hand_out("graph", load()))
        except errors.OnecopyError as error:
            # The text is about what the host has, paths of files perhaps: not for the component.
            return Variant("err", self._error(function, error, _TOLD_TO_HOST))

    def _init_execution_context(self, store: StoreContext, self_: ResourceAny) -> Variant:
        graph: Graph = self._resources.behind(store, self_)
        try:
            running = Running(graph)
            return Variant("ok", self._resources.hand_out("graph-execution-context", running))
        except errors.OnecopyError as error:
            return Variant("err", self._error("init-execution-context", error))

    # ---- inference ----

    def _compute(
        self, store: StoreContext, self_: ResourceAny, inputs: list[tuple[str, ResourceAny]]
    ) -> list[tuple[str, ResourceHost]] | ResourceHost:
        running: Running = self._resources.behind(store, self_)
        given = [(name, self._resources.take(store, tensor)) for name, tensor in inputs]
        try:
            results = running.compute(given)
        except errors.OnecopyError as error:
            return self._error("compute", error)
        return [(name, self._resources.hand_out("tensor", each)) for name, each in results]
