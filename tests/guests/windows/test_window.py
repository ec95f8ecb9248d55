"""Windows: what a guest sees through them, what it cannot do, and what is left behind."""

from __future__ import annotations

import gc
import os

import pytest
import torch

from onecopy import guests
from onecopy.errors import GuestMemoryExceeded, InvalidArgument, WindowRefused
from onecopy.guests.instance.guest import Instance
from onecopy.guests.wasm import control
from onecopy.guests.windows.source import Source
from tests.conftest import open_files
from tests.prepared import output_of

GUEST = """
#include "onecopy.h"
OC_EXPORT double sum(int window) {
    struct oc_window *w = &oc_control()->windows[window];
    const float *x = oc_data(w);
    double total = 0;
    for (uint32_t i = 0; i < w->nbytes / 4; i++) total += x[i];
    return total;
}
OC_EXPORT float get(int window, uint32_t i) {
    return ((float *)oc_data(&oc_control()->windows[window]))[i];
}
OC_EXPORT void set(int window, uint32_t i, float value) {
    ((float *)oc_data(&oc_control()->windows[window]))[i] = value;
}
OC_EXPORT int has(uint32_t address) { return *(volatile char *)(uintptr_t)address; }
OC_EXPORT void put(uint32_t address) { *(volatile char *)(uintptr_t)address = 1; }
OC_EXPORT int count(void) { return oc_control()->window_count; }
OC_EXPORT uint32_t generation(int window) { return oc_control()->windows[window].generation; }
OC_EXPORT void fill(uint32_t address, uint32_t length) {
    __builtin_memset((void *)(uintptr_t)address, 0x55, length);
}
OC_EXPORT void copy(uint32_t to, uint32_t from, uint32_t length) {
    __builtin_memmove((void *)(uintptr_t)to, (void *)(uintptr_t)from, length);
}
OC_EXPORT int config(uint32_t address, uint32_t room) {
    return oc_config((void *)(uintptr_t)address, room);
}
"""


@pytest.fixture
def guest(build, compiled):
    # With bulk memory, fills and copies are single instructions, which run in host code.
    wasm = build(GUEST, "-mbulk-memory")
    with Instance(compiled(wasm)) as guest:
        yield guest


@pytest.fixture
def ones(store):
    """An entry of 100,000 ones, whose data begins on a page."""
    store.save("ones", torch.ones(100_000), align=4096)
    return store.ref("ones")


class TestReading:
    def test_a_guest_reads_the_tensor(self, guest, ones):
        window = guest.open_window("x", ones)
        assert guest.call("count") == 1
        assert guest.call("sum", 0) == 100_000
        assert window.nbytes == 400_000
        assert "r)" in repr(window)

    def test_a_tensor_behind_its_header_is_read_too(self, guest, store):
        store.save("x", torch.arange(1000.0))
        guest.open_window("x", store.load("x"))
        assert guest.call("sum", 0) == 499_500

    def test_what_it_writes_is_seen_by_nobody_and_forgotten(self, guest, ones, store):
        guest.open_window("x", ones)
        guest.call("set", 0, 5, 7.0)
        assert guest.call("get", 0, 5) == 1
        assert store.load("ones").sum() == 100_000

    def test_updates_of_a_mutable_entry_are_seen_even_after_a_write_to_it(self, guest, store):
        store.save("m", torch.zeros(5000), mutable=True, align=4096)
        host = store.load("m")
        guest.open_window("m", store.ref("m"))
        guest.call("set", 0, 1, 3.0)
        host[0] = 5
        assert (guest.call("get", 0, 0), guest.call("get", 0, 1)) == (5, 0)

    def test_a_window_survives_the_store_and_the_source(self, guest, store):
        store.save("x", torch.ones(100_000))
        guest.open_window("x", store.load("x"))
        store.remove("x")
        store.close()
        gc.collect()
        assert guest.call("sum", 0) == 100_000


class TestWriting:
    def test_writes_are_in_the_tensor_at_once(self, guest, store):
        rows = guests.buffer(3, 50257, store=store)
        window = guest.open_window("row", rows[1], "rw")
        assert "rw" in repr(window)
        guest.call("set", 0, 50256, 2.5)
        guest.call("fill", window.address, 4)
        assert rows[1, 50256] == 2.5
        assert guest.call("get", 0, 50256) == 2.5
        assert rows[1, 0] != 0
        assert not rows[0].any()
        assert not rows[2].any()

    def test_another_process_sees_them(self, guest, store):
        store.save("m", torch.zeros(5000), mutable=True, align=4096)
        guest.open_window("m", store.ref("m"), "rw")
        guest.call("set", 0, 4999, 9.0)
        program = "import onecopy; print(onecopy.connect('test').load('m')[4999].item())"
        assert output_of(program) == "9.0"

    def test_what_a_copy_got_is_kept_for_the_guest_alone(self, guest):
        mine = torch.zeros(100)
        guest.open_window("x", guests.copy_of(mine, "rw"))
        guest.call("set", 0, 3, 1.5)
        assert guest.call("get", 0, 3) == 1.5
        assert not mine.any()

    def test_a_copy_to_read_is_reset_like_any_window(self, guest):
        guest.open_window("x", torch.ones(100), copy=True)
        guest.call("set", 0, 3, 1.5)
        assert guest.call("sum", 0) == 100


class TestAttacks:
    """What a guest may try; nothing of it reaches the tensor, or ends the process."""

    def test_filling_a_read_only_window_leaves_the_tensor_intact(self, guest, ones, store):
        window = guest.open_window("x", ones)
        guest.call("fill", window.address, window.nbytes)
        assert store.load("ones").sum() == 100_000
        assert guest.call("sum", 0) == 100_000

    def test_copying_within_and_into_a_window_leaves_the_tensor_intact(self, guest, ones, store):
        window = guest.open_window("x", ones)
        guest.call("copy", window.address, window.address + 4096, 8192)
        guest.call("copy", window.address, 0, 8192)
        guest.call("copy", window.address - 100, window.address + 50, 200)
        assert store.load("ones").sum() == 100_000

    def test_host_calls_on_its_behalf_do_not_reach_the_tensor(self, guest, ones, store):
        window = guest.open_window("x", ones)
        guest.host._config = b"\0" * 10_000
        assert guest.call("config", window.address, 10_000) == 10_000
        assert guest.call("config", window.address - 5, 10) == 10_000
        assert store.load("ones").sum() == 100_000

    def test_filling_windows_to_exhaust_memory_is_charged(self, build, compiled, store):
        store.save("large", torch.zeros(2 << 20), align=4096)
        wasm = build(GUEST, "-mbulk-memory")
        with Instance(compiled(wasm), memory_limit=4 << 20) as guest:
            window = guest.open_window("x", store.ref("large"))
            guest.call("fill", window.address, 1 << 20)
            guest.call("count")  # One MiB is within its limit.
            guest.call("fill", window.address, window.nbytes)
            with pytest.raises(GuestMemoryExceeded, match="read-only windows"):
                guest.call("count")
            assert guest.failed

    def test_so_is_filling_what_windows_have_left_behind(self, build, compiled, store):
        store.save("large", torch.zeros(2 << 20), align=4096)
        wasm = build(GUEST, "-mbulk-memory")
        with Instance(compiled(wasm), memory_limit=4 << 20) as guest:
            window = guest.open_window("x", store.ref("large"))
            guest.close_window("x")
            guest.call("fill", window.address, window.nbytes)
            with pytest.raises(GuestMemoryExceeded):
                guest.call("count")

    def test_removing_and_overwriting_the_entry_changes_nothing_in_a_window(self, guest, store):
        store.save("x", torch.ones(5000), mutable=True, align=4096)
        guest.open_window("x", store.ref("x"))
        store.save("x", torch.zeros(10), overwrite=True)
        assert guest.call("sum", 0) == 5000
        store.remove("x")
        assert guest.call("sum", 0) == 5000

    def test_a_segment_under_a_window_cannot_be_cut(self, store, guest):
        store.save("x", torch.ones(5000), mutable=True, align=4096)
        with guests.source_of(store.ref("x"), "rw") as source:
            guest.open_window("x", source)
            for size in (0, 4096, 1 << 20):
                with pytest.raises(PermissionError):
                    os.ftruncate(source.fd, size)
        assert guest.call("sum", 0) == 5000

    def test_what_others_have_in_a_former_window_is_not_seen(self, guest, store):
        store.save("secret", torch.full((5000,), 7.0), align=4096)
        window = guest.open_window("x", store.ref("secret"))
        assert guest.call("has", window.address + 2)
        guest.close_window("x")
        assert guest.call("count") == 0
        assert all(guest.call("has", window.address + at) == 0 for at in range(0, 20_000, 1000))

    def test_what_it_hid_in_a_former_window_is_gone_at_the_next_call(self, guest, ones):
        window = guest.open_window("x", ones)
        guest.close_window("x")
        guest.call("put", window.address)
        assert guest.call("has", window.address) == 0

    def test_a_new_guest_does_not_see_the_memory_of_a_former_one(self, build, compiled, store):
        store.save("secret", torch.full((100_000,), 7.0), align=4096)
        module = compiled(build(GUEST, "-mbulk-memory"))
        with Instance(module) as guest:
            window = guest.open_window("x", store.ref("secret"))
            guest.call("fill", window.address - 65536, 60_000)
            end = guest.memory.nbytes
        with Instance(module) as guest:
            guest.open_window("x", guests.copy_of(torch.zeros(100_000)))
            assert guest.memory.nbytes == end
            start = guest.windows["x"].address
            assert not any(guest.memory.read(start, end - start))


class TestTable:
    def test_windows_can_be_replaced_and_taken_away(self, guest, ones, store):
        store.save("twos", torch.full((10,), 2.0))
        guest.open_window("x", ones)
        generation = guest.call("generation", 0)
        guest.open_window("x", store.ref("twos"))
        assert (guest.call("count"), guest.call("sum", 0)) == (1, 20)
        assert guest.call("generation", 0) != generation
        assert "x" in guest.windows
        guest.close_window("x")
        assert guest.call("count") == 0
        assert "x" not in guest.windows

    def test_a_refused_window_leaves_the_old_one(self, guest, ones):
        guest.open_window("x", ones)
        with pytest.raises(WindowRefused):
            guest.open_window("x", torch.ones(10))
        loose = Source(os.memfd_create("loose"), 0, 0, 5, "U8", (5,), (1,))
        with loose, pytest.raises(WindowRefused, match="shorter"):
            guest.open_window("x", loose)
        assert guest.call("sum", 0) == 100_000

    def test_a_tensor_can_be_hidden_for_a_while(self, guest, store):
        store.save("m", torch.ones(1000), mutable=True, align=4096)
        with guests.source_of(store.ref("m"), "rw") as source:
            guest.open_window("x", source)
            guest.windows.blank("x")
            assert guest.call("sum", 0) == 0
            guest.call("set", 0, 3, 7.0)
            guest.windows.show("x", source)
            assert guest.call("sum", 0) == 1000
            guest.call("set", 0, 3, 7.0)
        assert store.load("m").sum() == 1006

    def test_regions_are_used_again(self, guest, ones):
        guest.open_window("x", ones)
        guest.open_window("y", ones)
        nbytes = guest.memory.nbytes
        for _ in range(20):
            guest.close_window("x")
            guest.open_window("x", ones)
            guest.open_window("y", ones)
        assert guest.memory.nbytes <= nbytes + 7 * 65536
        assert guest.call("sum", 0) + guest.call("sum", 1) == 200_000

    def test_bad_names_and_too_many_windows_are_refused(self, guest, ones):
        for name in ("", "n" * 40, "a\0b", "ü" * 20):
            with pytest.raises(WindowRefused, match="1 to 39 bytes"):
                guest.open_window(name, ones)
        for i in range(control.MAX_WINDOWS):
            guest.open_window(f"w{i}", ones)
        with pytest.raises(WindowRefused, match="at most 24"):
            guest.open_window("one more", ones)
        guest.open_window("w0", ones)

    def test_too_many_dimensions_are_refused(self, guest, store):
        store.save("x", torch.ones(1, 1, 1, 1, 1, 1, 2))
        with pytest.raises(WindowRefused, match="reshape"):
            guest.open_window("x", store.ref("x"))
        guest.open_window("x", store.load("x").view(1, 1, 1, 1, 1, 2))

    def test_closing_what_is_not_open_is_told(self, guest):
        with pytest.raises(InvalidArgument, match="no window 'x'"):
            guest.close_window("x")

    def test_windows_that_do_not_fit_four_gib_are_refused(self, guest, ones):
        with guests.source_of(ones) as source:
            source.nbytes = (1 << 32) - 65536
            source.checked = lambda: True
            with pytest.raises(WindowRefused, match="4 GiB"):
                guest.open_window("x", source)


def maps() -> int:
    with open("/proc/self/maps") as file:
        return len(file.readlines())


def test_a_thousand_guests_leave_no_maps_files_or_memory(build, compiled, store):
    store.save("x", torch.ones(100_000), align=4096)
    rows = guests.buffer(2, 50257, store=store)
    module = compiled(build(GUEST, "-mbulk-memory"))

    def one() -> None:
        with Instance(module) as guest, guests.source_of(rows[1], "rw") as source:
            guest.open_window("x", store.ref("x"))
            guest.open_window("row", source)
            guest.open_window("copy", rows[0], copy=True)
            guest.call("set", 0, 5, 1.0)
            guest.call("set", 1, 5, 1.0)

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    for _ in range(100):
        one()
    gc.collect()
    before = maps(), open_files()
    memory = resident()
    for _ in range(900):
        one()
    gc.collect()
    after = maps(), open_files()
    assert after[0] <= before[0] + 10  # The allocator's own come and go.
    assert after[1] == before[1]
    assert resident() < memory + (16 << 20)


def test_a_guest_that_is_dropped_without_close_lets_go_of_everything(build, compiled, store):
    store.save("x", torch.ones(100_000), align=4096)
    module = compiled(build(GUEST, "-mbulk-memory"))
    guest = Instance(module)
    guest.open_window("x", store.ref("x"))
    before = maps()
    del guest
    gc.collect()
    assert maps() < before
