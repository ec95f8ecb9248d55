"""Components of the world `agent`, run by wasmtime with answers that a test gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FUNCTIONS = {
    "http": ["send"],
    "llm": ["chat"],
    "kv": ["get", "set", "delete", "keys"],
    "memory": ["add", "search", "forget"],
    "tools": ["describe", "call"],
    "entries": ["names", "describe", "read"],
    "log": ["write", "step"],
}


class Component:
    """A component whose host is a `onecopy_agent.testing.Host`."""

    def __init__(self, path: Path) -> None:
        import wasmtime
        from wasmtime import component

        self._wasmtime, self._types = wasmtime, component
        self._engine = wasmtime.Engine()
        self._component = component.Component.from_file(self._engine, str(path))
        self._linker = component.Linker(self._engine)
        self._linker.add_wasip2()
        self._host: Any = None
        with self._linker.root() as root:
            for interface, functions in FUNCTIONS.items():
                with root.add_instance(f"onecopy:agent/{interface}@0.1.0") as instance:
                    for each in functions:
                        instance.add_func(each, self._function(f"{interface}.{each}"))

    def run(self, host: Any, event: dict[str, Any]) -> tuple[str, Any]:
        """Handle an event in a fresh instance; return `ok` or `err`, and the JSON value."""
        self._host = host
        store = self._wasmtime.Store(self._engine)
        store.set_wasi(self._wasmtime.WasiConfig())
        instance = self._linker.instantiate(store, self._component)
        result = instance.get_func(store, "handle")(store, json.dumps(event))
        return result.tag, json.loads(result.payload)

    def _function(self, name: str) -> Any:
        def answer(_store: Any, *arguments: Any) -> Any:
            tag, value = self._answer(name, list(map(self._plain, arguments)))
            # wasmtime wants a tag only where both sides of a result may be records.
            return self._types.Variant(tag, value) if name == "http.send" else value

        return answer

    def _answer(self, name: str, arguments: list[Any]) -> tuple[str, Any]:
        from onecopy_agent.errors import AgentError

        try:
            return "ok", self._lifted(self._host.call(name, arguments))
        except AgentError as error:
            return "err", self._record(code=error.code, message=str(error))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, self._types.Record):
            return {key: self._plain(each) for key, each in vars(value).items()}
        return list(map(self._plain, value)) if isinstance(value, (list, tuple)) else value

    def _lifted(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._record(**{key: self._lifted(each) for key, each in value.items()})
        if isinstance(value, list):
            return [self._lifted(each) for each in value]
        return value

    def _record(self, **fields: Any) -> Any:
        record = self._types.Record()
        vars(record).update(fields)
        return record
