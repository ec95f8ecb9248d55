"""The functions of wit/agent.wit, and which imports and exports a component may have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidModule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmtime.component import Component, ComponentType, FuncType

HANDLE: Final = "handle"
HANDLE_TYPE: Final = "func(event: string) -> result<string, string>"
_AGENT: Final = re.compile(r"onecopy:agent/([a-z]+)@0\.1\.\d+")
_WASI: Final = re.compile(r"wasi:(?:cli|clocks|filesystem|io|random|sockets)/[a-z-]+@0\.2\.\d+")

_ERROR: Final = "record{code: string, message: string}"
_HEADERS: Final = "list<tuple<string, string>>"
_REQUEST: Final = (
    f"record{{method: string, url: string, headers: {_HEADERS}, body: option<string>}}"
)
_RESPONSE: Final = f"record{{status: u16, headers: {_HEADERS}, body: string}}"
_SCOPE: Final = "enum{agent, conversation}"
_HIT: Final = "record{id: string, text: string, metadata: string, score: f32}"
LEVELS: Final = ("debug", "info", "warning", "error")


def _func(parameters: str, result: str) -> str:
    return f"func({parameters}) -> result<{result}, {_ERROR}>"


FUNCTIONS: Final[dict[str, dict[str, str]]] = {
    "types": {},
    "http": {"send": _func(f"request: {_REQUEST}", _RESPONSE)},
    "llm": {"chat": _func("request: string", "string")},
    "kv": {
        "get": _func(f"scope: {_SCOPE}, key: string", "option<string>"),
        "set": _func(f"scope: {_SCOPE}, key: string, value: string", "_"),
        "delete": _func(f"scope: {_SCOPE}, key: string", "_"),
        "keys": _func(f"scope: {_SCOPE}, prefix: string", "list<string>"),
    },
    "memory": {
        "add": _func("collection: string, text: string, metadata: string", "string"),
        "search": _func("collection: string, query: string, count: u32", f"list<{_HIT}>"),
        "forget": _func("collection: string, id: string", "_"),
    },
    "tools": {
        "describe": _func("", "string"),
        "call": _func("name: string, arguments: string", "string"),
    },
    "entries": {
        "names": _func("prefix: string", "list<string>"),
        "describe": _func("name: string", "string"),
        "read": _func("name: string", "string"),
    },
    "log": {
        "write": f"func(level: enum{{{', '.join(LEVELS)}}}, message: string)",
        "step": "func(name: string)",
    },
}

NAMES: Final = frozenset(
    f"{interface}.{function}" for interface, known in FUNCTIONS.items() for function in known
)
"""Of all calls, such as `kv.get`."""


def interface(name: str) -> str | None:
    """Return which interface of the world an import is, such as `kv`; None if it is of WASI."""
    found = _AGENT.fullmatch(name)
    return found[1] if found else None


def check(component: Component) -> None:
    """Raise `InvalidModule` unless a component is an agent that this host can run."""
    from onecopy.agents.worker.engine import engine

    kind = component.type
    _check_handle(kind)
    for name, each in kind.imports(engine()).items():
        known = interface(name)
        if known in FUNCTIONS:
            _check_interface(name, functions(each), FUNCTIONS[known])
        elif not _WASI.fullmatch(name):
            raise InvalidModule(
                f"the component imports {name}, which no agent gets; there are the interfaces of "
                "onecopy:agent@0.1 and of WASI 0.2 (docs/agents.md)"
            )


def functions(imported: Any) -> Iterator[tuple[str, FuncType]]:
    """Iterate over the functions of an imported instance."""
    from wasmtime.component import FuncType

    from onecopy.agents.worker.engine import engine

    exports = getattr(_type_of(imported), "exports", None)
    for name, each in exports(engine()).items() if exports else ():
        kind = _type_of(each)
        if isinstance(kind, FuncType):
            yield name, kind


def _type_of(extern: Any) -> Any:
    # Older versions of wasmtime's API return the types themselves.
    return getattr(extern, "ty", extern)


def _check_handle(kind: ComponentType) -> None:
    from wasmtime.component import FuncType

    from onecopy.agents.worker.engine import engine
    from onecopy.agents.worker.kinds import signature

    found = kind.exports(engine()).get(HANDLE)
    handle = _type_of(found)
    if not isinstance(handle, FuncType):
        raise InvalidModule(
            "the component is no agent: it exports no function `handle`; build it for the world "
            "`agent` of onecopy:agent (`onecopy agent build` does)"
        )
    have = signature(handle)
    if have.startswith("async"):
        raise InvalidModule(
            "the component exports `handle` as an async function; build it without "
            "(componentize-qjs --sync)"
        )
    if have != HANDLE_TYPE:
        raise InvalidModule(f"the component exports `handle` as {have}; it is {HANDLE_TYPE}")


def _check_interface(
    name: str, have: Iterator[tuple[str, FuncType]], known: dict[str, str]
) -> None:
    from onecopy.agents.worker.kinds import signature

    for function, kind in have:
        expected, found = known.get(function), signature(kind)
        if expected is None:
            raise InvalidModule(
                f"the component imports {name}.{function}, and that interface has no such "
                f"function; it has {', '.join(sorted(known)) or 'none'}"
            )
        if found != expected:
            raise InvalidModule(
                f"the component imports {name}.{function} as {found}; it is {expected}"
            )
