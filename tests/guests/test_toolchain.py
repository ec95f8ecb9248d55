"""Building guests: what comes out, and what is said when it does not."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from onecopy.errors import BuildFailed, InvalidArgument
from onecopy.guests import abi, toolchain
from onecopy.guests.control import ControlPage
from onecopy.guests.guest import Instance
from onecopy.guests.host import Host
from onecopy.guests.module import compile_module
from onecopy.guests.toolchain import build

pytestmark = pytest.mark.usefixtures("compiler")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a source file, and returns its path."""

    def write(text: str, name: str = "guest.c") -> Path:
        path = tmp_path / name
        path.write_text(f'#include "onecopy.h"\n{text}\n')
        return path

    return write


def instance(wasm: bytes, host: Host | None = None) -> Instance:
    made = Instance(compile_module(wasm).load(), host)
    made.start(1)
    return made


def test_exported_functions_can_be_called_and_others_cannot(write: Write) -> None:
    source = write(
        "int helper(int x) { return x + 1; } OC_EXPORT int twice(int x) { return 2 * x; }"
    )
    with instance(build(source)) as guest:
        assert guest.call("twice", 21) == 42
        assert set(guest.functions()) == {"onecopy_abi", "twice"}


def test_it_is_written_where_out_says_and_nothing_else_is(write: Write, tmp_path: Path) -> None:
    source = write("")
    out = tmp_path / "x.wasm"
    out.write_bytes(b"old")
    assert build(source, out) == out.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cache", "guest.c", "x.wasm"]


def test_what_does_not_compile_leaves_the_old_file(write: Write, tmp_path: Path) -> None:
    source = write("OC_EXPORT int f(void) { return missing; }")
    out = tmp_path / "x.wasm"
    out.write_bytes(b"old")
    with pytest.raises(BuildFailed, match="undeclared identifier 'missing'"):
        build(source, out)
    assert out.read_bytes() == b"old"


def test_a_function_that_nobody_has_is_an_error(write: Write) -> None:
    source = write("int elsewhere(void); OC_EXPORT int f(void) { return elsewhere(); }")
    with pytest.raises(BuildFailed, match="undefined symbol: elsewhere"):
        build(source)


def test_warnings_are_logged(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "onecopy.guests.toolchain"):
        build(write("OC_EXPORT int f(int x) { return 1; }"))
    assert "unused parameter 'x'" in caplog.text


def test_flags_reach_the_compiler(write: Write) -> None:
    source = write("OC_EXPORT int f(void) { return ANSWER; }")
    with instance(build(source, flags=["-DANSWER=42"])) as guest:
        assert guest.call("f") == 42


def test_memory_is_small_and_the_stack_is_what_flags_say(write: Write) -> None:
    source = write("OC_EXPORT int f(void) { volatile char x[1 << 17]; x[0] = 7; return x[0]; }")
    with instance(build(source)) as guest:
        assert guest.memory.own_nbytes < 1 << 18
    with instance(build(source, flags=["-Wl,-z,stack-size=1048576"])) as guest:
        assert guest.memory.own_nbytes >= 1 << 20
        assert guest.call("f") == 7


def test_no_bulk_memory_instruction_is_used(write: Write) -> None:
    source = write(
        "struct big { char x[100000]; }; static struct big s, t;"
        "OC_EXPORT int f(int n) { s.x[7] = (char)n; t = s; memset(&s, n, sizeof s);"
        "memmove(&t.x[1], &t.x[0], 100); return t.x[8] + s.x[1]; }"
    )
    # The instructions' codes.
    wasm = build(source)
    assert b"\xfc\x0a\x00\x00" not in wasm
    assert b"\xfc\x0b\x00" not in wasm
    with instance(wasm) as guest:
        assert guest.call("f", 5) == 10


def test_the_runtime_of_the_compiler_is_there(write: Write) -> None:
    source = write(
        "double exp(double); OC_EXPORT double f(double x) { return exp(x); }"
        "OC_EXPORT uint64_t g(uint64_t a) {"
        " return (uint64_t)((__extension__(unsigned __int128)a << 40) / 3 >> 40); }"
    )
    with instance(build(source)) as guest:
        assert guest.call("f", 1.0) == pytest.approx(2.718281828)
        assert guest.call("g", 9) == 3


def test_cpp_runs_its_constructors_once(write: Write) -> None:
    source = write(
        "struct Counter { int n; Counter() : n(1) {} }; static Counter counter;"
        "OC_EXPORT int next() { return counter.n++; }",
        "guest.cpp",
    )
    with instance(build(source)) as guest:
        assert [guest.call("next") for _ in range(3)] == [1, 2, 3]


EVERYTHING = """
static uint32_t mask[OC_MASK_WORDS(64)], other[OC_MASK_WORDS(64)];
static int wanted(uint32_t token, void *context) { return token % *(uint32_t *)context == 0; }
OC_EXPORT int everything(void) {
    char text[8];
    uint32_t three = 3, tokens[4], length;
    struct oc_bias bias = {1, 2.0f};
    struct oc_transfer transfer = {0, 0, 0, 0, 0, 0, 0};
    oc_mask_clear(mask); oc_mask_fill(other); oc_mask_copy(mask, other); oc_mask_not(mask);
    oc_mask_where(mask, wanted, &three); oc_mask_where_contains(other, "x");
    oc_mask_and(mask, other); oc_mask_or(mask, other); oc_mask_veto(mask, other);
    oc_mask_allow(mask, 1); oc_mask_forbid(mask, 2); oc_mask_veto_list(mask, tokens, 1);
    oc_say("x"); oc_say_number("x", -1); oc_config_text(text, sizeof text);
    oc_token(1, &length); oc_token_is(1, "a"); oc_token_begins(1, "a");
    oc_grammar_consume_step(oc_grammar_new(OC_REGEX, "x", 1)); oc_grammar_mask(0, mask);
    oc_grammar_accepts(0); oc_grammar_forced(0, tokens, 4); oc_grammar_rollback(0, 1);
    oc_grammar_free(0); oc_tokenize("x", 1, tokens, 4); oc_var_get("x", 1, text, 8);
    oc_var_set("x", 1, text, 8); oc_read(0, 0, text, 8); oc_write(0, 0, text, 8);
    oc_stream_size(0); oc_register_range(text, 8); oc_submit(&transfer, 1); oc_complete(1);
    oc_data(oc_need_window("x")); oc_eos(); oc_step_token(oc_step_count());
    oc_splice(0, tokens, 1); oc_fork(2); oc_choose(3); oc_allow(mask);
    oc_allow_biased(mask, &bias, 1);
    return oc_mask_has(mask, 3) + (int)oc_mask_count(mask) + oc_stop();
}
"""


@pytest.mark.parametrize("name", ["all.c", "all.cpp"])
def test_the_header_has_no_warnings(
    write: Write, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    strict = ("-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wshadow", "-Werror")
    assert build(write(EVERYTHING, name), flags=strict)
    assert caplog.text == ""


def test_the_header_declares_every_import() -> None:
    text = (toolchain.SDK / "onecopy.h").read_text()
    assert {name for name in abi.SIGNATURES if f'OC_IMPORT("{name}")' in text} == set(
        abi.SIGNATURES
    )


def test_every_function_of_the_header_has_a_comment() -> None:
    lines = (toolchain.SDK / "onecopy.h").read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(("OC_IMPORT", "static inline"))]
    bare = [lines[i] for i in starts if not _is_described(lines, i)]
    assert bare == []


def _is_described(lines: list[str], i: int) -> bool:
    # One comment may stand before a group without an empty line in it.
    while lines[i - 1] and not lines[i - 1].endswith("*/"):
        i -= 1
    return lines[i - 1].endswith("*/")


class Counting(Host):
    """A host that counts calls of `control`."""

    calls = 0

    def control(self) -> int:
        self.calls += 1
        return super().control()


def test_masks_and_step_tokens_cost_one_host_call(write: Write) -> None:
    host = Counting()
    source = write(
        "static uint32_t a[8], b[8];"
        "OC_EXPORT int f(void) { oc_mask_fill(a); oc_mask_clear(b);"
        " for (uint32_t i = 0; i < oc_step_count(); i++) oc_mask_allow(b, oc_step_token(i));"
        " oc_mask_veto(a, b); int without = (int)oc_mask_count(a); oc_mask_not(a);"
        " oc_mask_or(a, b); return without * 1000 + (int)oc_mask_count(a); }"
    )
    with instance(build(source), host) as guest:
        page: ControlPage = guest.control
        page.set_vocabulary(75, 0)
        page.begin(0, 0, [3, 4, 70])
        assert guest.call("f") == 72_003
        assert host.calls == 1


def test_numbers_are_logged_as_people_write_them(write: Write) -> None:
    host, said = Host(), []
    host.say = lambda _level, text: said.append(text)
    source = write(
        'OC_EXPORT void f(int64_t x) { oc_say_number("x = ", x); oc_say_number("", x / 2); }'
    )
    with instance(build(source), host) as guest:
        for number in (0, -1, 120, -(2**63)):
            guest.call("f", number)
    assert said == ["x = 0", "0", "x = -1", "0", "x = 120", "60",
                    "x = -9223372036854775808", "-4611686018427387904"]  # fmt: skip


def test_other_languages_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"neither C .* nor C\+\+"):
        build(tmp_path / "guest.rs")
    with pytest.raises(FileNotFoundError):
        build(tmp_path / "guest.c")


def test_without_the_compiler_it_says_what_to_install(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write("")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BuildFailed, match=r"pip install onecopy\[build\]"):
        build(source)
