"""Building guests: what comes out, and what is said when it does not."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest

from onecopy.errors import BuildFailed, InvalidArgument
from onecopy.guests.toolchain import build
from tests.guests.sources import Write, instance

pytestmark = pytest.mark.usefixtures("compiler")


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
    assert sorted(each.name for each in tmp_path.iterdir()) == ["guest.c", "x.wasm"]


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
    with pytest.raises(BuildFailed, match=r"pip install 'onecopy\[build\]'"):
        build(source)
