"""Components of the world `agent`, run by wasmtime with answers that a test gives."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from onecopy.agents.code_review.setup import files
from onecopy.agents.sdk.build import build
from onecopy.agents.sdk.toolchains import qjs
from onecopy.agents.worker.component import compile_component
from onecopy.agents.worker.engine import engine
from onecopy.errors import BuildFailed

FUNCTIONS = {
    "http": ["send"],
    "llm": ["chat"],
    "kv": ["get", "set", "delete", "keys"],
    "memory": ["add", "search", "forget"],
    "tools": ["describe", "call"],
    "entries": ["names", "describe", "read"],
    "log": ["write", "step"],
}


_ALL = """
import json

import bare
import everything
from onecopy_agent import component
from review_bot import bot

def handle(event):
    return (bot if event.kind.startswith("pull_request") else everything).handle(event)

made = component.world

def world(module):
    class WitWorld(made(module)):
        def handle(self, event):
            return (bare.WitWorld() if "do" in json.loads(event) else super()).handle(event)
    return WitWorld

component.world = world
"""
_WORKER = Path(__file__).parents[1] / "worker"


def python_agents(folder: Path, shared: Path) -> Path:
    """Build the code-review bot, everything.py and worker/python.py as one component.

    Building and compiling Python takes twenty seconds. worker/python.py has no SDK around it.
    """
    for name, text in files(github="https://api.github.com", llm="store:x", model="").items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    shutil.copy(Path(__file__).with_name("everything.py"), folder)
    shutil.copy(_WORKER / "python.py", folder / "bare.py")
    (folder / "agent.py").write_text(_ALL)
    return built(folder / "agent.py", shared)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else builds, and the caches lie in `folder`."""
    with (folder / "sdk-lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield


def built(source: Path, folder: Path) -> Path:
    """Build a source and compile it, once for all that share `folder`."""
    with alone(folder):
        component = build(source)
        compile_component(component, folder / "onecopy/modules")
        return component


def fetched(folder: Path) -> str:
    """Return the path of componentize-qjs, which npm fetches once for all that share `folder`.

    Without npm, or without a network, the test is skipped.
    """
    with alone(folder):
        try:
            return qjs.command(folder)[0]
        except BuildFailed as error:
            pytest.skip(str(error).splitlines()[0])


class Component:
    """A component whose host is a `onecopy_agent.testing.Host`."""

    def __init__(self, path: Path, folder: Path) -> None:
        import wasmtime
        from wasmtime import component

        self._wasmtime, self._types = wasmtime, component
        self._engine = engine()
        native = compile_component(path, folder / "onecopy/modules").native
        self._component = component.Component.deserialize(self._engine, native)
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
        store.set_epoch_deadline(1 << 40)
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
