from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import Callable, Iterator

import pytest

import onecopy
from onecopy import GuestError, GuestTimeout, GuestTrapped, WindowRefused, WorkerLost
from onecopy.errors import InvalidArgument
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.pool import Pool
from tests.guests.probing import WITH_PROBE, probe
from tests.guests.segment import Segment
from tests.guests.waiting import eventually

GUEST = """
(module
  (import "onecopy" "log" (func $log (param i32 i32 i32)))
  (import "onecopy" "control" (func $control (result i32)))
  (import "onecopy" "config" (func $config (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "hello")
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "twice") (param i64) (result i64) (i64.add (local.get 0) (local.get 0)))
  (func (export "half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
  (func (export "say") (call $log (i32.const 2) (i32.const 0) (i32.const 5)))
  (func (export "first_config") (result i32)
    (drop (call $config (i32.const 64) (i32.const 64))) (i32.load8_u (i32.const 64)))
  (func $window (result i32) (i32.load (i32.add (call $control) (i32.const 1064))))
  (func (export "read") (result i32) (i32.load (call $window)))
  (func (export "write") (param i32) (i32.store (call $window) (local.get 0)))
  (func (export "loop") (loop (br 0)))
  (func (export "trap") unreachable))
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool(
        guest_ms=200, grace_ms=10_000, cache=tmp_path_factory.mktemp("modules"), services=WITH_PROBE
    ) as pool:
        yield pool


@pytest.fixture
def guest(pool: Pool, wat: Callable[[str], bytes]) -> Iterator[Guest]:
    with Guest(wat(GUEST), config=b"A", pool=pool) as guest:
        yield guest


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment(4096) as segment:
        yield segment


def test_numbers_go_in_and_out(guest: Guest) -> None:
    assert guest.call("add", 2, 3) == 5
    assert guest.call("half", 5) == 2.5
    assert guest.call("say") is None


def test_integers_wrap_around(guest: Guest) -> None:
    assert guest.call("add", (1 << 31) - 1, 1) == -(1 << 31)
    assert guest.call("add", (1 << 32) - 1, 2) == 1
    assert guest.call("twice", (1 << 64) - 1) == -2
    assert guest.call("twice", 1 << 62) == -(1 << 63)


def test_wrong_arguments_are_refused_before_they_leave(guest: Guest) -> None:
    with pytest.raises(TypeError, match="takes 2"):
        guest.call("add", 1)
    with pytest.raises(TypeError, match="integer"):
        guest.call("add", 1.5, 2)
    with pytest.raises(TypeError, match="'half' is no number"):
        guest.call("half", "half")  # type: ignore[arg-type]
    assert guest.call("add", 1, 2) == 3


def test_an_unknown_function_is_named_and_the_guest_lives_on(guest: Guest) -> None:
    with pytest.raises(InvalidArgument, match=r"'no'.*add, twice"):
        guest.call("no")
    assert guest.call("add", 1, 2) == 3


def test_its_configuration_reaches_it(guest: Guest) -> None:
    assert guest.call("first_config") == ord("A")


def test_a_long_configuration_reaches_it(pool: Pool, wat: Callable[[str], bytes]) -> None:
    with Guest(wat(GUEST), config=b"B" * 1_000_000, pool=pool) as guest:
        assert guest.call("first_config") == ord("B")


def test_what_it_logs_is_kept_and_logged(guest: Guest, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "onecopy.guests"):
        guest.call("say")
    assert guest.logs == [(logging.WARNING, "hello")]
    assert caplog.messages == [f"{guest.name}: 'hello'"]


def test_a_writable_window_shows_what_both_sides_write(guest: Guest, segment: Segment) -> None:
    guest.open_window("w", segment.writable)
    os.pwrite(segment.fd, b"\7\0\0\0", 0)
    assert guest.call("read") == 7
    guest.call("write", 8)
    assert os.pread(segment.fd, 4, 0) == b"\x08\0\0\0"


def test_what_it_writes_to_a_read_only_window_is_dropped(guest: Guest, segment: Segment) -> None:
    guest.open_window("w", segment.readable)
    guest.call("write", 8)
    assert os.pread(segment.fd, 4, 0) == bytes(4)
    assert guest.call("read") == 0


def test_windows_may_be_given_at_the_start_replaced_and_closed(
    pool: Pool, wat: Callable[[str], bytes], segment: Segment
) -> None:
    os.pwrite(segment.fd, b"\7\0\0\0", 0)
    with Guest(wat(GUEST), {"w": segment.readable}, pool=pool) as guest:
        assert guest.call("read") == 7
        guest.open_window("w", segment.writable, "rw")
        guest.call("write", 9)
        assert os.pread(segment.fd, 1, 0) == b"\x09"
        guest.close_window("w")
        with pytest.raises(InvalidArgument, match="no window 'w'"):
            guest.close_window("w")


def test_one_that_loops_is_cut_off_and_not_called_again(
    pool: Pool, wat: Callable[[str], bytes], guest: Guest
) -> None:
    with Guest(wat(GUEST), pool=pool) as looping:
        with pytest.raises(GuestTimeout, match="2 ms"):
            looping.call("loop", timeout=0.002)
        assert looping.failed
        assert looping.seconds >= 0.002
        with pytest.raises(GuestError, match="not called again"):
            looping.call("add", 1, 2)
    assert guest.call("add", 1, 2) == 3


def test_one_that_traps_is_not_called_again(guest: Guest) -> None:
    with pytest.raises(GuestTrapped, match="unreachable"):
        guest.call("trap")
    with pytest.raises(GuestError, match="not called again"):
        guest.call("add", 1, 2)


def test_closing_it_is_fine_twice(guest: Guest) -> None:
    guest.close()
    guest.close()
    with pytest.raises(GuestError, match="closed"):
        guest.call("add", 1, 2)


def test_forgotten_guests_are_closed_when_the_next_one_comes(
    pool: Pool, wat: Callable[[str], bytes]
) -> None:
    before = pool.workers[0].guests
    Guest(wat(GUEST), pool=pool)
    gc.collect()
    with Guest(wat(GUEST), pool=pool):
        assert pool.workers[0].guests == before + 1


def test_threads_may_share_it(guest: Guest) -> None:
    wrong: list[object] = []

    def call() -> None:
        wrong.extend(i for i in range(200) if guest.call("add", i, 1) != i + 1)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_when_its_worker_ends_it_is_lost_and_can_be_made_again(
    wat: Callable[[str], bytes],
) -> None:
    with Pool() as pool:
        guest = Guest(wat(GUEST), pool=pool)
        os.kill(guest.worker.pid, 9)
        with pytest.raises(WorkerLost, match="open the guest again"):
            guest.call("add", 1, 2)
        assert guest.failed
        guest.close()
        with Guest(wat(GUEST), pool=pool) as again:
            assert again.call("add", 1, 2) == 3


def test_without_a_pool_guests_share_one_that_ends_with_the_process(
    wat: Callable[[str], bytes],
) -> None:
    from tests.processes import output_of

    code = """
        import sys
        from onecopy.guests.workers.handle import Guest
        wasm = bytes.fromhex(sys.argv[1])
        one, two = Guest(wasm), Guest(wasm)
        assert one.worker is two.worker and one.call("add", 1, 2) == 3
        print(one.worker.pid)
    """
    pid = int(output_of(code, wat(GUEST).hex()))
    eventually(lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_shares_an_entry_of_a_store(guest: Guest, store: onecopy.Store) -> None:
    import torch

    store.save("w", torch.full((1024,), 7, dtype=torch.int32), mutable=True, align=4096)
    shared = store.load("w")
    guest.open_window("w", shared, "rw")
    assert guest.call("read") == 7
    guest.call("write", 8)
    assert shared[0] == 8
    guest.open_window("w", store.ref("w"), "rw")
    shared[0] = 9
    assert guest.call("read") == 9
    with pytest.raises(WindowRefused, match="copy=True"):
        guest.open_window("w", torch.zeros(1024))
    assert guest.call("read") == 9


def test_a_copy_is_its_own(pool: Pool, wat: Callable[[str], bytes]) -> None:
    import torch

    heap = torch.full((1024,), 7, dtype=torch.int32)
    with Guest(wat(GUEST), {"w": heap}, pool=pool, copy=True) as guest:
        heap[0] = 8
        assert guest.call("read") == 7


def free_descriptor(pool: Pool) -> str:
    return probe(pool.workers[0], "import os; found = os.dup(0); os.close(found)")


STREAMER = """
(module
  (import "onecopy" "read" (func $read (param i32 i64 i32 i32) (result i32)))
  (import "onecopy" "write" (func $write (param i32 i64 i32 i32) (result i32)))
  (import "onecopy" "stream_size" (func $size (param i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "size") (param i32) (result i64) (call $size (local.get 0)))
  (func (export "copy") (param $from i32) (param $to i32) (result i32)
    (drop (call $read (local.get $from) (i64.const 0) (i32.const 64) (i32.const 4)))
    (call $write (local.get $to) (i64.const 8) (i32.const 64) (i32.const 4))))
"""


def test_streams_are_copied_in_and_out(
    pool: Pool, wat: Callable[[str], bytes], segment: Segment
) -> None:
    before = free_descriptor(pool)
    os.pwrite(segment.fd, b"\7\0\0\0", 0)
    with Guest(wat(STREAMER), streams=[segment.readable, segment.writable], pool=pool) as guest:
        assert [guest.call("size", number) for number in range(3)] == [4096, 4096, -1]
        assert guest.call("copy", 0, 1) == 4
        assert os.pread(segment.fd, 4, 8) == b"\7\0\0\0"
        assert guest.call("copy", 1, 0) < 0
    assert free_descriptor(pool) == before


def test_streams_of_a_guest_that_cannot_be_made_are_closed(
    pool: Pool, wat: Callable[[str], bytes], segment: Segment
) -> None:
    before = free_descriptor(pool)
    trap = '(module (memory (export "memory") 1) (func (export "_initialize") unreachable))'
    large = '(module (memory (export "memory") 30000))'
    for text in (trap, large):
        with pytest.raises(GuestError):
            Guest(wat(text), {"w": segment.readable}, streams=[segment.readable], pool=pool)
    assert free_descriptor(pool) == before
