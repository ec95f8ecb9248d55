"""`guest run`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onecopy
from tests.cli.commands import refused, run

pytestmark = pytest.mark.usefixtures("compiler")

SOURCE = """
#include "onecopy.h"
OC_EXPORT int add(int a, int b) { return a + b; }
OC_EXPORT int64_t big(int64_t a) { return a * 2; }
OC_EXPORT double half(double a) { return a / 2; }
OC_EXPORT void nothing(void) { oc_say("\\x1b[31mhello"); }
OC_EXPORT int first(void) { char c[8]; return oc_config(c, 8) > 0 ? c[0] : -1; }
OC_EXPORT void forever(void) { for (volatile int x = 0;; x++) ; }
OC_EXPORT void crash(void) { __builtin_trap(); }
OC_EXPORT int total(void) {
    struct oc_window *x = oc_need_window("x");
    const int *data = oc_data(x);
    int total = 0;
    for (uint32_t i = 0; i < x->nbytes / 4; i++) total += data[i];
    return total;
}
OC_EXPORT void zero(void) { *(int *)oc_data(oc_need_window("x")) = 0; }
"""


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    """A guest, as a source file: `run` builds it."""
    path = tmp_path / "x.c"
    path.write_text(SOURCE)
    return path


def test_numbers_go_in_and_one_comes_out(guest: Path) -> None:
    run("guest", "build", guest)
    wasm = guest.with_suffix(".wasm")
    assert run("guest", "run", wasm, "add", 40, 2).stdout == "42\n"
    assert run("guest", "run", wasm, "add", "0x10", "-17").stdout == "-1\n"
    assert run("guest", "run", wasm, "big", 1 << 40).stdout == f"{1 << 41}\n"
    assert run("guest", "run", wasm, "half", "-1e3").stdout == "-500.0\n"


def test_what_a_guest_says_is_no_result_and_steers_no_terminal(guest: Path) -> None:
    result = run("guest", "run", guest, "nothing")
    assert result.stdout == ""
    assert result.stderr == "\\x1b[31mhello\n"


def test_the_configuration_is_a_file_or_a_text(guest: Path, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("B")
    assert run("guest", "run", guest, "first").stdout == "-1\n"
    assert run("guest", "run", guest, "first", "--config-text", "A").stdout == "65\n"
    assert run("guest", "run", guest, "first", "-c", tmp_path / "config").stdout == "66\n"


def test_an_entry_is_a_window(guest: Path, store: onecopy.Store) -> None:
    store.save("a/b", np.arange(5, dtype=np.int32), mutable=True, align=4096)
    show = ("--window", "x=test/a/b")
    assert run("guest", "run", guest, "total", *show).stdout == "10\n"
    run("guest", "run", guest, "zero", *show)
    assert store.load("a/b")[0] == 0
    store.load("a/b")[0] = 9
    run("guest", "run", guest, "zero", *show)
    assert store.load("a/b")[0] == 9
    run("guest", "run", guest, "zero", "--window", "x=test/a/b:rw")
    assert store.load("a/b")[0] == 0


def test_what_cannot_be_shown_is_refused(guest: Path, store: onecopy.Store) -> None:
    store.save("x", np.arange(5, dtype=np.int32))
    assert "mutable" in refused("guest", "run", guest, "total", "-w", "x=test/x:rw")
    assert "no entry 'y'" in refused("guest", "run", guest, "total", "-w", "x=test/y")
    assert "no window of this name: x" in refused("guest", "run", guest, "total", "-w", "y=test/x")


def test_a_wrong_call_says_what_there_is(guest: Path) -> None:
    said = refused("guest", "run", guest, "sub")
    assert "add(i32, i32) -> i32, big(i64) -> i64" in said
    assert "takes 2 arguments, and got 1" in refused("guest", "run", guest, "add", 1)
    assert "'1.5' is not an integer" in refused("guest", "run", guest, "add", 1, 1.5)
    assert "'x' is not a number" in refused("guest", "run", guest, "half", "x")


def test_a_guest_that_fails_fails_the_command(guest: Path) -> None:
    assert "within 20 ms" in refused("guest", "run", guest, "forever", "--seconds", "0.02")
    assert "unreachable" in run("guest", "run", guest, "crash", code=1).stderr


def test_a_guest_that_needs_more_memory_says_so(guest: Path) -> None:
    assert "raise memory_limit" in refused("guest", "run", guest, "nothing", "--memory", "64KiB")


def test_what_is_no_wasm_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(b"\x7fELF")
    assert "no core WebAssembly module" in refused("guest", "run", path, "f")
    assert "No such file" in refused("guest", "run", tmp_path / "y.wasm", "f")
