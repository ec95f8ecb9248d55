"""docs/guest-abi.md says what the code and onecopy.h do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onecopy import GuestTrapped, InvalidModule
from onecopy.guests.decoding import controller_host, grammar_engine, outcome, vocabulary
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import abi, binary, control
from tests.guests.tokenizers_of import byte_level

TEXT = Path(__file__).parents[2].joinpath("docs/guest-abi.md").read_text()
FIELD = re.compile(r"^\| (\d+) \| `(\w+)` \|", re.MULTILINE)
IMPORT = re.compile(r"^\| `(\w+)` \| `\((.*)\)(?: -> (i32|i64))?` \|", re.MULTILINE)


def imports() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    section = TEXT.split("## Imports")[1]
    found = {}
    for name, parameters, result in IMPORT.findall(section):
        kinds = [each for each in parameters.split(", ") if each]
        kinds = ["i64" if each.endswith(": i64") else "i32" for each in kinds]
        found[name] = (tuple(kinds), (result,) if result else ())
    return found


def test_it_lists_every_import_with_its_signature():
    assert imports() == abi.SIGNATURES


def test_offsets_of_every_field_are_those_of_the_header(build):
    page, window = (TEXT.split(title)[1] for title in ("## The control page", "A window's entry"))
    page = page.split("A window's entry")[0]
    window = window.split("## The life")[0]
    fields = [("oc_control", *each) for each in FIELD.findall(page)]
    fields += [("oc_window", *each) for each in FIELD.findall(window)]
    result = TEXT.split("| `kind` | other")[1].split("The host copies")[0]
    fields += [
        ("oc_result", at, name) for name, at in re.findall(r"`(\w+)` (?:at |\()(\d+)", result)
    ]
    assert len(fields) > 25
    checks = [
        f'_Static_assert(offsetof(struct {struct}, {name}) == {at}, "{name}");'
        for struct, at, name in fields
    ]
    build("\n".join(['#include "onecopy.h"', *checks]))


def test_limits_are_those_of_the_code():
    for number in (
        binary.MAX_GLOBALS,
        control.MAX_WINDOWS,
        control.NAME_NBYTES,
        control.INLINE_TOKENS,
        controller_host.MAX_GRAMMARS,
        outcome.MAX_BRANCHES,
    ):
        assert re.search(rf"\b{number}\b", TEXT), number
    for number in (controller_host.MAX_TOKENS, outcome.MAX_SPLICED, vocabulary.MAX_TOKENS):
        assert f"{number:,}" in TEXT
    assert all(name in TEXT for name in ("OCG1", "OCV1", "JSON schema, 1 regex, 2 Lark"))
    assert f"version {control.ABI}" in TEXT
    assert grammar_engine.KINDS == ("json_schema", "regex", "lark")


def test_errors_have_their_numbers():
    numbers = dict(re.findall(r"^\| (-?\d) \| `OC_(?:ERR_)?(\w+)` \|", TEXT, re.MULTILINE))
    assert numbers == {str(getattr(abi, name)): name for name in numbers.values()}
    assert len(numbers) == 7


@pytest.fixture(scope="module")
def tokens():
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        yield vocabulary


def life(spoken: str) -> str:
    return f"""(module (memory (export "memory") 1)
        (func (export "onecopy_abi") (param i32) (result i32) {spoken})
        (func (export "mid_process") (result i32) (i32.const 0)))"""


def test_a_guest_of_this_version_is_accepted(tokens, wat, compiled):
    with Controller(compiled(wat(life("(local.get 0)"))), tokens) as controller:
        assert controller.init_prompt([], seconds=1) is None


@pytest.mark.parametrize("spoken", ["(i32.const 0)", "(i32.const 2)", "(i32.const -1)"])
def test_a_guest_of_another_version_is_refused(tokens, wat, compiled, spoken):
    with (
        Controller(compiled(wat(life(spoken))), tokens) as controller,
        pytest.raises(InvalidModule, match="version"),
    ):
        controller.init_prompt([], seconds=1)


def test_imports_do_not_work_in_a_start_function(tokens, wat, compiled):
    text = """(module
        (import "onecopy" "config" (func $config (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func $start (drop (call $config (i32.const 0) (i32.const 8))))
        (func (export "mid_process") (result i32) (i32.const 0))
        (start $start))"""
    with pytest.raises(GuestTrapped, match="_initialize"):
        Controller(compiled(wat(text)), tokens)
