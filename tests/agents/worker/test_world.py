"""Which components are agents, and what is said of those that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import wasmtime

from onecopy import agents
from onecopy.agents.worker import component, world
from onecopy.agents.worker.world import FUNCTIONS
from onecopy.errors import InvalidModule

WIT = (Path(agents.__file__).parent / "wit" / "agent.wit").read_text()
ERROR = """(type $e (record (field "code" string) (field "message" string)))
           (export "error" (type $error (eq $e)))"""


def made(imports: str = "", name: str = "handle", kind: str = "", result: str = "") -> bytes:
    """Return a component with `handle`, of the right type if nothing is given."""
    kind = kind or '(param "event" string)'
    result = result or "(result (result string (error string)))"
    return bytes(
        wasmtime.wat2wasm(f"""(component {imports}
          (core module $M (memory (export "m") 1)
            (func (export "f") (param i32 i32) (result i32) (i32.const 0))
            (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
          (core instance $m (instantiate $M))
          (alias core export $m "f" (core func $f))
          (alias core export $m "r" (core func $r))
          (alias core export $m "m" (core memory $memory))
          (func (export "{name}") {kind} {result} (canon lift (core func $f)
            (memory $memory) (realloc $r))))""")
    )


def imported(interface: str, *exports: str) -> str:
    return f'(import "{interface}" (instance {" ".join(exports)}))'


def test_what_exports_handle_is_an_agent():
    component.compiled(made())


@pytest.mark.parametrize(
    "imports",
    [
        imported("onecopy:agent/log@0.1.0"),
        imported("onecopy:agent/log@0.1.7", '(export "step" (func (param "name" string)))'),
        imported(
            "onecopy:agent/llm@0.1.0",
            ERROR,
            '(export "chat" (func (param "request" string)'
            " (result (result string (error $error)))))",
        ),
        imported("wasi:random/random@0.2.0", '(export "get-random-u64" (func (result u64)))'),
        imported("wasi:sockets/network@0.2.99"),
    ],
)
def test_interfaces_of_the_world_and_of_wasi_may_be_imported(imports):
    component.compiled(made(imports))


@pytest.mark.parametrize(
    ("wasm", "text"),
    [
        (made(name="run"), "exports no function `handle`"),
        (
            made(kind='(param "text" string)'),
            r"`handle` as func\(text: string\).*it is func\(event: string\)",
        ),
        (
            made(result="(result (result string))"),
            "-> result<string, _>; it is",
        ),
        (made(imported("onecopy:agent/files@0.1.0")), "imports onecopy:agent/files@0.1.0"),
        (made(imported("onecopy:agent/kv@0.2.0")), "imports onecopy:agent/kv@0.2.0"),
        (made(imported("wasi:http/outgoing-handler@0.2.0")), "imports wasi:http"),
        (made(imported("wasi:random/random@0.3.0")), "imports wasi:random/random@0.3.0"),
        (made(imported("other:thing/x@1.0.0")), "which no agent gets"),
        (
            made(imported("onecopy:agent/log@0.1.0", '(export "shout" (func))')),
            "no such function; it has step, write",
        ),
        (
            made(imported("onecopy:agent/log@0.1.0", '(export "step" (func))')),
            r"step as func\(\); it is func\(name: string\)",
        ),
        (
            made(
                imported(
                    "onecopy:agent/llm@0.1.0",
                    '(export "chat" (func (param "request" string) (result string)))',
                )
            ),
            "chat as func.*-> string; it is",
        ),
    ],
)
def test_what_is_no_agent_is_told_why(wasm, text):
    with pytest.raises(InvalidModule, match=text):
        component.compiled(wasm)


def test_a_type_that_cannot_be_returned_is_told():
    odd = imported("wasi:random/random@0.2.0", '(export "odd" (func (result char)))')
    with pytest.raises(InvalidModule, match="needs a type that this host knows, not char"):
        component.compiled(made(odd))


def test_an_import_that_is_no_interface_is_refused():
    with pytest.raises(InvalidModule, match="imports now"):
        component.compiled(made('(import "now" (func (result u64)))'))


def test_all_functions_of_the_wit_are_known():
    found = {}
    for name, body in re.findall(r"^interface (\w+) \{(.*?)^\}", WIT, re.M | re.S):
        found[name] = set(re.findall(r"^  ([a-z-]+): func", body, re.M))
    assert found == {name: set(functions) for name, functions in FUNCTIONS.items()}


def test_interfaces_are_told_apart():
    assert world.interface("onecopy:agent/kv@0.1.3") == "kv"
    assert world.interface("onecopy:agent/kv@0.2.0") is None
    assert world.interface("wasi:io/poll@0.2.0") is None
