"""The one way out: calls of the imports in wit/agent.wit, or of a host in the same process.

Inside WebAssembly the bindings are there, made when the component was built. Outside there is
whatever `onecopy_agent.testing` has installed.
"""

from __future__ import annotations

import contextvars
import importlib
from typing import Any, Protocol

from onecopy_agent import errors


class Host(Protocol):
    """Answers a call by its name, such as `kv.get`, and its arguments, which are JSON values."""

    def call(self, name: str, arguments: list[Any]) -> Any:
        """Return the answer's JSON value, or raise an `AgentError`."""


installed: contextvars.ContextVar[Host | None] = contextvars.ContextVar("host", default=None)


def call(name: str, *arguments: Any) -> Any:
    """Ask the host; records come back as dictionaries."""
    host = installed.get() or _BINDINGS
    if host is None:
        raise RuntimeError(
            f"{name} needs a host: outside of WebAssembly, use `with onecopy_agent.testing.Host()`"
        )
    return host.call(name, list(arguments))


class _Bindings:
    """The imports of the component, as componentize-py has generated them."""

    def __init__(self) -> None:
        names = ("http", "llm", "kv", "memory", "tools", "entries", "log")
        self._modules: Any = {
            each: importlib.import_module(f"wit_world.imports.{each}") for each in names
        }
        self._error: Any = importlib.import_module("componentize_py_types").Err

    def call(self, name: str, arguments: list[Any]) -> Any:
        interface, function = name.split(".")
        module = self._modules[interface]
        try:
            return _plain(getattr(module, function)(*_lowered(module, name, arguments)))
        except self._error as error:
            raise errors.of(error.value.code, error.value.message) from None


def _lowered(module: Any, name: str, arguments: list[Any]) -> list[Any]:
    """Make records and enums of the bindings out of JSON values."""
    match name.split(".")[0], arguments:
        case "http", [request]:
            pairs = [(key, value) for key, value in request["headers"]]
            return [module.Request(request["method"], request["url"], pairs, request["body"])]
        case "kv", [scope, *rest]:
            return [module.Scope[scope.upper()], *rest]
        case "log", [level, message]:
            return [module.Level[level.upper()], message]
    return arguments


def _plain(value: Any) -> Any:
    """Make dictionaries out of records."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return dict(vars(value)) if hasattr(value, "__dataclass_fields__") else value


def _bindings() -> _Bindings | None:
    try:
        return _Bindings()
    except ModuleNotFoundError:
        return None


_BINDINGS: Host | None = _bindings()
