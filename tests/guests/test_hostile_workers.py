"""Guests that attack their worker, their neighbours or the engine: one test for each attack.

Their sources are in the folder `hostile`.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onecopy import (
    GuestError,
    GuestMemoryExceeded,
    GuestTimeout,
    GuestTrapped,
    InvalidModule,
    WindowRefused,
    WorkerLost,
)
from onecopy.guests.wasm.module import Module
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.pool import Pool
from tests.guests.probing import WITH_PROBE, Tell, probe
from tests.guests.segment import Segment, Shown
from tests.guests.waiting import eventually

HOSTILE = Path(__file__).parent / "hostile"
MIB = 1 << 20

Make = Callable[..., Guest]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(scope="module")
def pool(cache: Path) -> Iterator[Pool]:
    # The grace is far from what a busy machine takes; who is cut off in Wasm does not need it.
    with Pool(
        guest_ms=2000, start_ms=100, grace_ms=20_000, memory_limit=8 * MIB, services=WITH_PROBE
    ) as pool:
        yield pool


@pytest.fixture(scope="module")
def wasm(build: Callable[..., bytes], wat: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """The module of a file of the folder."""

    def make(name: str) -> bytes:
        path = HOSTILE / name
        return build(path) if path.suffix == ".c" else wat(path.read_text())

    return make


@pytest.fixture
def guest(pool: Pool, wasm: Callable[[str], bytes]) -> Iterator[Make]:
    """Makes a guest of a file; a neighbour on the same worker must not notice."""
    guests = [Guest(wasm("neighbour.c"), pool=pool)]
    pid = guests[0].worker.pid
    assert guests[0].call("count") == 1

    def make(name: str, **options: Any) -> Guest:
        guests.append(Guest(wasm(name), pool=pool, **options))
        return guests[-1]

    yield make
    assert guests[0].call("count") == 2
    assert guests[0].worker.pid == pid
    for each in guests:
        each.close()


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment(64 * MIB) as segment:
        yield segment


def test_an_infinite_loop_is_cut_off(guest: Make) -> None:
    with pytest.raises(GuestTimeout, match="5 ms"):
        guest("loop.c").call("attack", timeout=0.005)


@pytest.mark.parametrize("name", ["loop_in_initialize.c", "loop_in_start.wat", "loop_in_abi.wat"])
def test_an_infinite_loop_before_the_first_call_is_cut_off(guest: Make, name: str) -> None:
    with pytest.raises(GuestTimeout):
        guest(name)


@pytest.mark.parametrize("name", ["recursion.c", "recursion.wat"])
def test_recursion_traps(guest: Make, name: str) -> None:
    with pytest.raises(GuestTrapped):
        guest(name).call("attack")


def test_growth_ends_at_the_limit(pool: Pool, guest: Make) -> None:
    before = pool.workers[0].memory()
    grown = guest("growth.c").call("attack")
    assert 0 < grown * 65536 <= 8 * MIB
    assert pool.workers[0].memory() - before < 16 * MIB


def test_tables_end_at_their_limit(guest: Make) -> None:
    assert guest("table_growth.wat").call("attack") <= 20_000


def test_filling_a_read_only_window_to_exhaust_memory_costs_the_guest(
    pool: Pool, guest: Make, segment: Segment
) -> None:
    before = pool.workers[0].memory()
    attacker = guest("fill_window.c", windows={"data": segment.readable})
    with pytest.raises(GuestMemoryExceeded, match="read-only windows"):
        for _ in range(2):  # it is counted before the next call
            attacker.call("attack")
    assert os.pread(segment.fd, 4, 0) == bytes(4)
    assert pool.workers[0].memory() - before < 16 * MIB


def test_what_fits_the_limit_is_dropped_before_the_next_call(guest: Make, segment: Segment) -> None:
    with guest("fill_window.c", windows={"data": Shown(segment.fd, MIB, False)}) as attacker:
        attacker.call("attack")
        assert attacker.call("first") == 0


def test_a_trap_in_initialize_is_an_error_of_the_opening(guest: Make) -> None:
    with pytest.raises(GuestTrapped, match="unreachable"):
        guest("trap_in_initialize.c")


def test_a_reason_that_it_gives_is_quoted(guest: Make) -> None:
    with pytest.raises(GuestTrapped, match="gone"):
        guest("give_up_in_initialize.c")


@pytest.mark.parametrize("name", ["wrong_abi.wat", "wasi.wat", "host_name.wat"])
def test_what_this_host_does_not_speak_is_refused(guest: Make, name: str) -> None:
    with pytest.raises(InvalidModule, match=r"version|freestanding|name them otherwise"):
        guest(name)


def test_what_is_not_wasm_is_refused(pool: Pool, guest: Make, wasm: Any) -> None:
    native = pool.module(wasm("neighbour.c")).native
    for data in (b"", b"#!/bin/sh\n", native, b"\0asm\x0d\0\1\0", wasm("neighbour.c")[:100]):
        with pytest.raises(InvalidModule):
            Guest(data, pool=pool)


def test_memory_of_a_former_guest_is_empty(guest: Make) -> None:
    for _ in range(3):
        with guest("snoop.c") as former:
            former.call("leave")
        assert guest("snoop.c").call("attack") == 0


def test_memory_of_a_neighbour_cannot_be_reached(guest: Make) -> None:
    neighbour = guest("snoop.c")
    neighbour.call("leave")
    assert guest("snoop.c").call("attack") == 0
    with pytest.raises(GuestTrapped, match="out of bounds"):
        guest("out_of_bounds.c").call("attack")


def test_a_closed_window_shows_nothing_of_its_tensor(guest: Make, segment: Segment) -> None:
    os.pwrite(segment.fd, (0x5EC2E75E).to_bytes(4, "little") * 1024, 0)
    attacker = guest("snoop.c")
    attacker.open_window("data", Shown(segment.fd, MIB, True), "rw")
    attacker.close_window("data")
    assert attacker.call("attack") == 0


def test_a_window_that_ends_beyond_its_segment_is_refused(guest: Make, segment: Segment) -> None:
    with pytest.raises(WindowRefused, match="shorter"):
        guest("fill_window.c", windows={"data": Shown(segment.fd, 65 * MIB, False)})


def test_logging_without_end_is_cut_short(guest: Make) -> None:
    attacker = guest("chatter.c")
    attacker.call("attack")
    assert sum(len(text) for _, text in attacker.logs) < 100_000
    assert attacker.logs[-1][1] == "(more than is kept of one call)"


def test_copying_without_end_is_cut_off(guest: Make, segment: Segment) -> None:
    attacker = guest("stream_loop.c", streams=[segment.readable])
    with pytest.raises(GuestTimeout):
        attacker.call("attack", timeout=0.005)


def test_addresses_outside_its_memory_are_answered(guest: Make) -> None:
    attacker = guest("bad_pointers.c")
    with pytest.raises(GuestTrapped, match="text outside its memory"):
        attacker.call("attack")
    assert [text for _, text in attacker.logs] == ["(text outside its memory)"] * 2


PATCH = """
import ctypes, threading
from onecopy.guests.instance.host import Host
MUTEX = ctypes.create_string_buffer(64)
Host.config = lambda *_: {hang}
"""


@pytest.mark.parametrize(
    "hang",
    [
        "threading.Event().wait()",
        # It locks a mutex twice, and keeps the interpreter's lock: no other thread of the worker
        # runs. (Whatever sleeps is woken by the signals that deadlines are kept by.)
        "[ctypes.PyDLL(None).pthread_mutex_lock(MUTEX) for _ in range(2)]",
    ],
)
def test_a_hang_in_a_host_call_costs_the_worker_and_three_of_them_the_module(
    cache: Path, wasm: Callable[[str], bytes], hang: str
) -> None:
    with Pool(guest_ms=50, grace_ms=200, cache=cache, services=WITH_PROBE) as pool:
        for _ in range(3):
            worker = pool.place()  # waits for it
            probe(worker, PATCH.format(hang=hang))
            with (
                Guest(wasm("host_call.c"), pool=pool) as attacker,
                pytest.raises(WorkerLost, match=r"hung|did not answer"),
            ):
                attacker.call("attack")
            assert attacker.worker is worker
        with pytest.raises(GuestError, match="has cost 3 workers"):
            Guest(wasm("host_call.c"), pool=pool)
        # Others are served, and so is the module elsewhere.
        with Guest(wasm("neighbour.c"), pool=pool) as neighbour:
            assert neighbour.call("count") == 1


def test_a_worker_that_needs_too_much_is_ended(cache: Path, wasm: Callable[[str], bytes]) -> None:
    with (
        Pool(cache=cache, worker_memory=128 * MIB, services=WITH_PROBE) as pool,
        Guest(wasm("neighbour.c"), pool=pool) as neighbour,
    ):
        neighbour.worker.send(Tell("hoard = b'x' * (256 << 20)"))
        eventually(lambda: neighbour.failed)
        with pytest.raises(WorkerLost, match="worker_memory"):
            neighbour.call("count")


def test_a_thousand_guests_leave_nothing_behind(
    cache: Path, wasm: Callable[[str], bytes], segment: Segment
) -> None:
    with Pool(guest_ms=2000, cache=cache, services=WITH_PROBE) as pool:
        windows = {"data": Shown(segment.fd, MIB, False)}
        module = pool.module(wasm("fill_window.c"))

        def cycle(count: int) -> tuple[int, int, int, int]:
            for _ in range(count):
                with Guest(module, windows, pool=pool) as guest:
                    guest.call("attack")
            worker = pool.workers[0]
            pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0])
            free = int(probe(worker, "import os; found = os.dup(0); os.close(found)"))
            return pages * 4096, worker.memory(), free, len(os.listdir("/proc/self/fd"))

        before = cycle(50)
        after = cycle(1000)
        assert after[0] - before[0] < 64 * MIB  # one leaked guest is 4 GiB of addresses
        assert after[1] - before[1] < 16 * MIB
        assert after[2] == before[2]
        assert after[3] <= before[3]


@pytest.mark.parametrize("name", ["trap_in_start.wat", "trap_in_initialize.c", "snoop.c"])
def test_many_guests_that_fail_at_their_start_leave_nothing_behind(
    pool: Pool, guest: Make, wasm: Callable[[str], bytes], name: str
) -> None:
    module = pool.module(wasm(name))

    def addresses() -> int:
        return int(Path(f"/proc/{pool.workers[0].pid}/statm").read_text().split()[0]) * 4096

    before = addresses()
    for _ in range(50):
        with pytest.raises(GuestError):
            # The last of the modules is sound, but may have no memory at all.
            Guest(module, pool=pool, memory_limit=0 if name == "snoop.c" else None)
    assert addresses() - before < 64 * MIB
    assert pool.workers[0].guests == 1


@pytest.mark.parametrize("seed", range(3))
def test_killing_the_worker_at_any_moment_costs_only_calls(
    cache: Path, wasm: Callable[[str], bytes], seed: int
) -> None:
    moments = random.Random(seed)
    with Pool(guest_ms=2000, cache=cache) as pool:
        module: Module = pool.module(wasm("neighbour.c"))
        for _ in range(8):
            with Guest(module, pool=pool) as guest:
                stop = threading.Timer(moments.random() / 50, guest.worker.kill, ["by a test"])
                stop.start()
                count = 0
                with pytest.raises(WorkerLost, match="by a test"):
                    while True:
                        count += 1
                        assert guest.call("count") == count
                stop.join()
