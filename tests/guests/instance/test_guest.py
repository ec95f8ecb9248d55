"""Guests in this process: calls, deadlines, limits, and what is left after a failure."""

from __future__ import annotations

import logging
import threading

import pytest

from onecopy.errors import (
    GuestError,
    GuestMemoryExceeded,
    GuestTimeout,
    GuestTrapped,
    InvalidArgument,
    InvalidModule,
)
from onecopy.guests.instance.guest import Instance
from onecopy.guests.instance.host import Host

GUEST = """
#include "onecopy.h"
OC_EXPORT int add(int a, int b) { return a + b; }
OC_EXPORT void loop(void) { for (;;) __asm__ volatile(""); }
OC_EXPORT int recurse(int n) {
    volatile char room[256];
    room[0] = n;
    return n < 0 ? 0 : recurse(n + 1) + room[0];
}
OC_EXPORT void trap(void) { __builtin_trap(); }
OC_EXPORT int divide(int a, int b) { return a / b; }
OC_EXPORT int load(uint32_t address) { return *(volatile int *)(uintptr_t)address; }
OC_EXPORT int grow(int pages) { return __builtin_wasm_memory_grow(0, pages); }
OC_EXPORT int grow_and_touch(int pages) {
    int at = __builtin_wasm_memory_grow(0, pages);
    for (int i = 0; at >= 0 && i < pages; i++) ((char *)(uintptr_t)(at * 65536))[i * 65536] = 1;
    return at;
}
OC_EXPORT void give_up(void) { oc_fail("too hard", 8); }
OC_EXPORT void say(int level) { oc_log(level, "\\x1b[2Jhello\\n", 10); }
static char kept[64];
OC_EXPORT int config(int room) { return oc_config(kept, room); }
OC_EXPORT int at(int i) { return kept[i]; }
OC_EXPORT int mask(void) { return oc_grammar_mask(0, (uint32_t *)kept); }
"""


@pytest.fixture
def guest(build, compiled):
    with Instance(compiled(build(GUEST)), Host(b"the config")) as guest:
        guest.start()
        yield guest


class TestCalls:
    def test_numbers_go_in_and_one_comes_back(self, guest):
        assert guest.call("add", 2, 3) == 5
        assert guest.invoke(guest.export("add"), -2, 1, seconds=1) == -1
        assert guest.export("add") is guest.export("add")

    def test_a_name_it_lacks_is_an_error_that_lists_what_it_has(self, guest):
        with pytest.raises(InvalidArgument, match=r"no function 'nothing'.*add"):
            guest.call("nothing")
        with pytest.raises(InvalidArgument, match="no function 'memory'"):
            guest.call("memory")

    def test_it_is_told_its_configuration(self, guest):
        assert guest.call("config", 64) == 10
        assert bytes(guest.call("at", i) for i in range(11)) == b"the config\0"

    def test_room_that_is_short_gets_what_fits(self, guest):
        assert guest.call("config", 3) == 10
        assert bytes(guest.call("at", i) for i in range(5)) == b"the\0\0"

    def test_what_it_says_is_logged_without_control_characters(self, guest, caplog):
        with caplog.at_level(logging.DEBUG, "onecopy.guests"):
            for level in (0, 1, 2, 3, 99):
                guest.call("say", level)
        levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.ERROR]
        assert [each.levelno for each in caplog.records] == levels
        assert all(each.getMessage().isprintable() for each in caplog.records)

    def test_functions_of_other_kinds_of_guests_are_denied(self, guest):
        assert guest.call("mask") == -6

    def test_guests_in_several_threads_do_not_meet(self, build, compiled):
        module = compiled(build(GUEST))
        found = {}

        def work(number: int) -> None:
            with Instance(module) as guest:
                found[number] = [guest.call("add", number, i, seconds=10) for i in range(100)]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert found == {n: [n + i for i in range(100)] for n in range(4)}


class TestFailures:
    """Each of these costs the guest, and nobody else."""

    def check_dead(self, guest: Instance) -> None:
        assert guest.failed
        with pytest.raises(GuestError, match="make a new one"):
            guest.call("add", 1, 1)
        with pytest.raises(GuestError, match="make a new one"):
            guest.run(guest.export("add"), 100)
        with pytest.raises(GuestError):
            guest.open_window("x", b"")

    @pytest.fixture(autouse=True)
    def prepared(self, guest):
        guest.export("add")

    def test_a_loop_is_cut_off(self, guest):
        with pytest.raises(GuestTimeout, match="within 10 ms"):
            guest.call("loop", seconds=0.01)
        self.check_dead(guest)

    def test_a_loop_in_a_call_of_a_batch_is_cut_off(self, guest):
        from onecopy.guests.wasm.engine import ticker

        loop = guest.export("loop")
        with ticker.running(), pytest.raises(GuestTimeout):
            guest.run(loop, 4)
        self.check_dead(guest)

    def test_recursion_ends_in_a_trap(self, guest):
        with pytest.raises(GuestTrapped, match="stack"):
            guest.call("recurse", 0)
        self.check_dead(guest)

    def test_recursion_on_another_thread_too(self, build, compiled):
        raised = []

        def work() -> None:
            with Instance(compiled(build(GUEST))) as guest:
                try:
                    guest.call("recurse", 0)
                except GuestTrapped as error:
                    raised.append(error)

        before = threading.stack_size(512 << 10)
        try:
            thread = threading.Thread(target=work)
            thread.start()
        finally:
            threading.stack_size(before)
        thread.join()
        assert len(raised) == 1

    @pytest.mark.parametrize(
        ("name", "arguments", "reason"),
        [
            ("trap", (), "unreachable"),
            ("divide", (1, 0), "divide by zero"),
            ("load", (-4,), "out of bounds"),
        ],
    )
    def test_traps_are_told_with_their_reason(self, guest, name, arguments, reason):
        with pytest.raises(GuestTrapped, match=reason):
            guest.call(name, *arguments)
        self.check_dead(guest)

    def test_a_guest_may_give_up_with_a_reason(self, guest):
        with pytest.raises(GuestTrapped, match="gave up: too hard"):
            guest.call("give_up")
        self.check_dead(guest)

    def test_what_a_host_function_raises_arrives_as_it_is(self, guest):
        def interrupted(level: int, text: str) -> None:
            raise KeyboardInterrupt

        guest.host.say = interrupted
        with pytest.raises(KeyboardInterrupt):
            guest.call("say", 1)
        self.check_dead(guest)

    def test_closing_twice_is_fine_and_calls_after_it_say_so(self, guest):
        guest.close()
        guest.close()
        with pytest.raises(GuestError, match="it was closed"):
            guest.call("add", 1, 1)


class TestMemory:
    def test_growth_stops_at_the_limit(self, build, compiled):
        with Instance(compiled(build(GUEST)), memory_limit=4 << 20) as guest:
            grown = 0
            while guest.call("grow_and_touch", 1) >= 0:
                grown += 1
            assert 0 < grown < 64
            assert guest.memory.own_nbytes == 4 << 20
            assert guest.call("grow", 65535) == -1
            assert guest.call("add", 1, 1) == 2

    def test_starting_with_more_than_the_limit_is_refused(self, wat, compiled):
        module = compiled(wat('(module (memory (export "memory") 100))'))
        with pytest.raises(GuestMemoryExceeded, match="raise memory_limit"):
            Instance(module, memory_limit=1 << 20)

    def test_tables_are_limited_too(self, wat, compiled):
        text = """(module (memory (export "memory") 1) (table 1 funcref)
            (func (export "grow") (param i32) (result i32)
              (table.grow (ref.null func) (local.get 0))))"""
        with Instance(compiled(wat(text))) as guest:
            assert guest.call("grow", 1_000_000) == -1

    def test_a_large_table_from_the_start_is_refused(self, wat, compiled):
        text = '(module (memory (export "memory") 1) (table 1000000000 funcref))'
        with pytest.raises(InvalidModule, match="instantiated"):
            Instance(compiled(wat(text)))


class TestStart:
    """What a module does before anybody has called it."""

    def test_a_trap_at_the_start_is_told(self, wat, compiled):
        text = '(module (memory (export "memory") 1) (func $f unreachable) (start $f))'
        with pytest.raises(GuestTrapped, match="unreachable"):
            Instance(compiled(wat(text)))

    def test_a_loop_at_the_start_is_cut_off(self, wat, compiled):
        text = '(module (memory (export "memory") 1) (func $f (loop (br 0))) (start $f))'
        with pytest.raises(GuestTimeout):
            Instance(compiled(wat(text)))

    def test_host_functions_at_the_start_do_no_harm(self, wat, compiled):
        text = """(module (import "onecopy" "config" (func $c (param i32 i32) (result i32)))
            (import "onecopy" "control" (func $p (result i32)))
            (import "onecopy" "log" (func $l (param i32 i32 i32)))
            (memory (export "memory") 1) (global $g (mut i32) (i32.const 0))
            (func $f (global.set $g (call $c (i32.const 0) (i32.const 8)))
                (call $l (i32.const 0) (i32.const 0) (i32.const 9)) (drop (call $p)))
            (func (export "seen") (result i32) (global.get $g)) (start $f))"""
        with pytest.raises(GuestTrapped, match="before it was ready"):
            Instance(compiled(wat(text)), Host(b"config"))

    def test_a_loop_in_the_initialization_is_cut_off(self, wat, compiled):
        text = """(module (memory (export "memory") 1)
            (func (export "_initialize") (loop (br 0))))"""
        with Instance(compiled(wat(text))) as guest, pytest.raises(GuestTimeout):
            guest.start(seconds=0.01)

    @pytest.mark.parametrize(("version", "text"), [(0, "newer than any"), (7, "version 7")])
    def test_a_guest_of_another_version_is_refused(self, wat, compiled, version, text):
        wasm = wat(f"""(module (memory (export "memory") 1)
            (func (export "onecopy_abi") (param i32) (result i32) (i32.const {version})))""")
        with (
            Instance(compiled(wasm)) as guest,
            pytest.raises(InvalidModule, match=text),
        ):
            guest.start()

    def test_a_guest_without_a_version_is_plain_wasm(self, wat, compiled):
        with Instance(compiled(wat('(module (memory (export "memory") 1))'))) as guest:
            guest.start()
