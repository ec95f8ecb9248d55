"""Streams: ranges of tensors copied into and out of a guest's memory."""

from __future__ import annotations

import pytest
import torch

from onecopy import guests
from onecopy.guests.instance.guest import Instance
from onecopy.guests.instance.host import Host
from onecopy.guests.wasm import abi
from onecopy.guests.windows import streams

GUEST = """
#include "onecopy.h"
static unsigned char room[65536];
static struct oc_transfer transfers[2000];
OC_EXPORT unsigned char *start(void) { return room; }
OC_EXPORT int at(int i) { return room[i]; }
OC_EXPORT void set(int i, int value) { room[i] = value; }
OC_EXPORT int64_t size(int stream) { return oc_stream_size(stream); }
OC_EXPORT int read(int stream, uint64_t offset, void *to, size_t n) {
    return oc_read(stream, offset, to, n);
}
OC_EXPORT int write(int stream, uint64_t offset, const void *from, size_t n) {
    return oc_write(stream, offset, from, n);
}
OC_EXPORT int range(void *from, size_t n) { return oc_register_range(from, n); }
OC_EXPORT void plan(int i, int stream, int write, int64_t offset, unsigned char *at, size_t n) {
    transfers[i] = (struct oc_transfer){stream, write, offset, (uintptr_t)at, n, 99, 0};
}
OC_EXPORT int submit(int first, size_t count) { return oc_submit(transfers + first, count); }
OC_EXPORT int submit_at(struct oc_transfer *first, size_t count) { return oc_submit(first, count); }
OC_EXPORT int complete(size_t least) { return oc_complete(least); }
OC_EXPORT int done(int i) { return transfers[i].done; }
"""


@pytest.fixture
def entries(store):
    store.save("bytes", torch.arange(200, dtype=torch.uint8))
    store.save("m", torch.zeros(5000, dtype=torch.uint8), mutable=True, align=4096)
    return store


@pytest.fixture
def guest(build, compiled, entries):
    with (
        guests.source_of(entries.ref("bytes")) as first,
        guests.source_of(entries.ref("m"), "rw") as second,
        Instance(compiled(build(GUEST)), Host(streams=[first, second])) as guest,
    ):
        yield guest


def test_streams_have_a_size(guest):
    assert [guest.call("size", i) for i in (0, 1, 2, -1)] == [200, 5000, abi.HANDLE, abi.HANDLE]


def test_a_range_is_read(guest):
    room = guest.call("start")
    assert guest.call("read", 0, 10, room, 50) == 50
    assert [guest.call("at", i) for i in (0, 49, 50)] == [10, 59, 0]


def test_reading_ends_with_the_stream(guest):
    room = guest.call("start")
    assert guest.call("read", 0, 190, room, 50) == 10
    assert guest.call("read", 0, 200, room, 50) == 0
    assert guest.call("at", 9) == 199


def test_a_range_is_written_and_seen_at_once(guest, entries):
    room = guest.call("start")
    guest.call("set", 0, 7)
    guest.call("set", 1, 8)
    assert guest.call("write", 1, 4998, room, 2) == 2
    assert entries.load("m")[-3:].tolist() == [0, 7, 8]


def test_transfers_are_made_at_once_and_say_what_was_moved(guest, entries):
    room = guest.call("start")
    assert guest.call("range", room, 1000) == 0
    assert guest.call("range", room + 2000, 1000) == 1
    guest.call("plan", 0, 0, 0, 5, room, 20)
    guest.call("plan", 1, 1, 1, 100, room, 20)  # They are made in their order.
    guest.call("plan", 2, 0, 0, 195, room + 2000, 1000)
    assert guest.call("submit", 0, 3) == 3
    assert guest.call("done", 0) == 99
    assert guest.call("complete", 1) == 3
    assert [guest.call("done", i) for i in range(3)] == [20, 20, 5]
    assert entries.load("m")[100:120].tolist() == list(range(5, 25))
    assert guest.call("complete", 0) == 0


def test_what_is_rewritten_after_submitting_is_not_believed(guest, entries):
    room = guest.call("start")
    guest.call("range", room, 100)
    guest.call("plan", 0, 0, 0, 0, room, 10)
    guest.call("submit", 0, 1)
    guest.call("plan", 0, 1, 1, 0, room, 10)
    assert guest.call("complete", 1) == 1
    assert not entries.load("m").any()


class TestErrors:
    """What a guest gets wrong, or tries, is an answer and no crash."""

    def test_streams_that_are_not_there(self, guest):
        for stream in (2, -1, 2**31 - 1):
            assert guest.call("read", stream, 0, 0, 1) == abi.HANDLE
            assert guest.call("write", stream, 0, 0, 1) == abi.HANDLE

    def test_offsets_outside_of_the_stream(self, guest):
        for offset in (-1, 201, -(2**63), 2**63 - 1):
            assert guest.call("read", 0, offset, 0, 1) == abi.RANGE
        for offset, nbytes in ((-1, 1), (5000, 1), (4999, 2), (2**63 - 1, 5)):
            assert guest.call("write", 1, offset, 0, nbytes) == abi.RANGE

    def test_addresses_outside_of_the_memory(self, guest):
        end = guest.memory.nbytes
        for address in (end, end - 5, 2**32 - 1, 2**32 - 5):
            assert guest.call("read", 0, 0, address, 10) == abi.RANGE
            assert guest.call("write", 1, 0, address, 10) == abi.RANGE
            assert guest.call("range", address, 10) == abi.RANGE
            assert guest.call("submit_at", address, 1) == abi.RANGE

    def test_writing_to_what_may_only_be_read(self, guest):
        assert guest.call("write", 0, 0, 0, 10) == abi.DENIED

    def test_transfers_outside_of_registered_ranges(self, guest):
        room = guest.call("start")
        guest.call("range", room, 100)
        plans = [(room + 95, 10), (room - 1, 10), (0, 1), (2**32 - 1, 100)]
        for i, (address, nbytes) in enumerate(plans):
            guest.call("plan", i, 0, 0, 0, address, nbytes)
        assert guest.call("submit", 0, 4) == 4
        assert guest.call("complete", 4) == 4
        assert [guest.call("done", i) for i in range(4)] == [abi.RANGE] * 4

    def test_transfers_of_streams_and_offsets_that_are_not_there(self, guest):
        room = guest.call("start")
        guest.call("range", room, 100)
        guest.call("plan", 0, 9, 0, 0, room, 10)
        guest.call("plan", 1, 0, 0, -1, room, 10)
        guest.call("plan", 2, 0, 1, 0, room, 10)
        guest.call("submit", 0, 3)
        guest.call("complete", 3)
        assert [guest.call("done", i) for i in range(3)] == [abi.HANDLE, abi.RANGE, abi.DENIED]

    def test_waiting_for_more_than_was_submitted(self, guest):
        assert guest.call("complete", 1) == abi.INVALID

    def test_too_many_at_once(self, guest):
        room = guest.call("start")
        for i in range(1100):
            guest.call("plan", i, 0, 0, 0, room, 10)
        assert guest.call("submit", 0, 1100) == streams.PENDING_LIMIT
        assert guest.call("submit", 0, 1) == abi.LIMIT
        assert guest.call("submit", 0, 2**27) == abi.RANGE
        assert guest.call("complete", 0) == streams.PENDING_LIMIT
        for i in range(streams.RANGE_LIMIT):
            assert guest.call("range", room, 10) == i
        assert guest.call("range", room, 10) == abi.LIMIT
        assert guest.call("range", room, 0) == abi.INVALID

    def test_one_host_call_moves_only_so_much(self, guest, monkeypatch):
        monkeypatch.setattr(streams, "MOVE_LIMIT", 100)
        room = guest.call("start")
        guest.call("range", room, 1000)
        assert guest.call("read", 0, 0, room, 101) == abi.LIMIT
        for i in range(3):
            guest.call("plan", i, 0, 0, 0, room, 60)
        assert guest.call("submit", 0, 3) == 1
        assert guest.call("complete", 1) == 1
        assert guest.call("submit", 1, 2) == 1

    def test_a_window_whose_segment_is_gone_is_an_answer(self, guest):
        # The kernel finds that there is nothing behind the window, where a load would be fatal.
        import os

        from onecopy.guests.windows.source import Source

        fd = os.memfd_create("loose")
        os.ftruncate(fd, 4096)
        with Source(fd, 0, 0, 4096, "U8", (4096,), (1,)) as source:
            source.checked = lambda: True
            window = guest.open_window("loose", source)
            os.ftruncate(fd, 0)
        assert guest.call("read", 0, 0, window.address, 10) == abi.RANGE
        guest.close_window("loose")


def test_a_guest_without_streams_has_none(build, compiled):
    with Instance(compiled(build(GUEST))) as guest:
        assert guest.call("read", 0, 0, 0, 1) == abi.DENIED
        assert guest.call("size", 0) == abi.DENIED
        assert guest.call("complete", 0) == abi.DENIED


def test_reading_into_a_read_only_window_does_not_reach_its_tensor(guest, entries):
    entries.save("x", torch.ones(5000, dtype=torch.uint8), align=4096)
    window = guest.open_window("x", entries.ref("x"))
    assert guest.call("read", 0, 0, window.address, 200) == 200
    assert guest.call("read", 0, 0, window.address + window.nbytes - 100, 200) == 200
    assert (entries.load("x") == 1).all()
