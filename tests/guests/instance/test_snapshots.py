"""A guest's memory and globals, saved and restored."""

from __future__ import annotations

import os

import pytest

from onecopy import WindowRefused
from onecopy.guests.instance import snapshots
from onecopy.guests.instance.guest import Instance
from onecopy.guests.instance.snapshots import Snapshots
from onecopy.guests.wasm.memory import PAGE
from onecopy.guests.wasm.module import compile_module
from onecopy.guests.windows.source import Source
from onecopy.segments import region

GUEST = """(module
  (memory (export "memory") 4)
  (data (i32.const 70000) "image")
  (global $i (mut i32) (i32.const -5))
  (global $l (mut i64) (i64.const -6))
  (global $f (mut f32) (f32.const 1.5))
  (global $d (mut f64) (f64.const -0.25))
  (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "grow") (result i32) (memory.grow (i32.const 1)))
  (func (export "set") (param i32 i64 f32 f64)
    (global.set $i (local.get 0)) (global.set $l (local.get 1))
    (global.set $f (local.get 2)) (global.set $d (local.get 3)))
  (func (export "i") (result i32) (global.get $i))
  (func (export "l") (result i64) (global.get $l))
  (func (export "f") (result f32) (global.get $f))
  (func (export "d") (result f64) (global.get $d))
)"""
IMAGE = int.from_bytes(b"imag", "little")
NAMES = ("i", "l", "f", "d")


@pytest.fixture
def make(wat):
    made = []

    def make() -> Instance:
        made.append(Instance(compile_module(wat(GUEST)).load()))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def source():
    fd = region.create("test", 2 * PAGE)
    region.seal(fd, mutable=True)
    source = Source(fd, 0, 0, 2 * PAGE, "U8", (2 * PAGE,), (1,), writable=True)
    yield source
    source.close()


@pytest.fixture(params=["scan", "all pages"])
def way(request, monkeypatch):
    """With what the kernel says of the pages, and without."""
    if request.param == "all pages":
        monkeypatch.setattr(snapshots, "page_map", lambda: None)


def test_memory_goes_back_to_what_it_was(make, way):
    guest = make()
    keeper = Snapshots(guest)
    guest.call("store", 0, 1)
    guest.call("store", 65534, 2)
    state = keeper.save()
    guest.call("store", 0, 3)
    guest.call("store", 65534, 4)
    keeper.restore(state)
    assert (guest.call("load", 0), guest.call("load", 65534)) == (1, 2)


def test_pages_that_were_clean_are_as_the_module_made_them(make, way):
    guest = make()
    keeper = Snapshots(guest)
    state = keeper.save()
    guest.call("store", 70000, 1)
    guest.call("store", 200_000, 1)
    keeper.restore(state)
    assert (guest.call("load", 70000), guest.call("load", 200_000)) == (IMAGE, 0)


def test_globals_of_every_kind_go_back(make):
    guest = make()
    keeper = Snapshots(guest)
    guest.call("set", 1, 1 << 40, 0.5, 1e300)
    state = keeper.save()
    guest.call("set", 2, -2, -2.5, float("inf"))
    keeper.restore(state)
    assert [guest.call(each) for each in NAMES] == [1, 1 << 40, 0.5, 1e300]


def test_memory_that_has_grown_stays_and_is_zero(make, way):
    guest = make()
    keeper = Snapshots(guest)
    state = keeper.save()
    page = guest.call("grow")
    guest.call("store", page << 16, 7)
    keeper.restore(state)
    assert guest.call("load", page << 16) == 0


def test_windows_and_the_control_page_are_left_alone(make, source, way):
    guest = make()
    keeper = Snapshots(guest)
    window = guest.open_window("x", source)
    state = keeper.save()
    guest.call("store", window.address, 5)
    guest.control.begin(9, 0, [])
    keeper.restore(state)
    assert os.pread(source.fd, 1, 0) == b"\5"
    assert guest.call("load", guest.host.control() + 24) == 9


def test_only_what_was_written_is_saved_and_shared_while_it_stays_the_same(make):
    guest = make()
    keeper = Snapshots(guest)
    guest.call("store", 0, 1)
    guest.call("store", 100_000, 1)
    first = keeper.save()
    assert sum(len(data) for _, data in first.pieces) == 2 * PAGE
    guest.call("store", 0, 2)
    second = keeper.save(first)
    assert second.pieces[0][1] is not first.pieces[0][1]
    assert second.pieces[1][1] is first.pieces[1][1]
    assert (first.nbytes, first.fresh) == (2 * PAGE, 2 * PAGE)
    assert (second.nbytes, second.fresh) == (2 * PAGE, PAGE)
    keeper.restore(first)
    assert guest.call("load", 0) == 1


def test_another_instance_takes_over_state_and_windows_at_the_same_addresses(make, source, way):
    guest = make()
    guest.open_window("gone", source)
    page = guest.call("grow")
    window = guest.open_window("x", source)
    guest.close_window("gone")
    guest.call("store", page << 16, 11)
    guest.call("store", window.address, 12)
    guest.call("set", 1, 2, 3.0, 4.0)
    other = make()
    other.call("store", 70000, 1)
    other.take_layout(guest, {"x": source})
    Snapshots(other).restore(Snapshots(guest).save())
    assert other.windows["x"].address == window.address
    assert other.control.generation == guest.control.generation
    assert [other.call("load", at) for at in (page << 16, window.address, 70000)] == [11, 12, IMAGE]
    assert [other.call(each) for each in NAMES] == [1, 2, 3.0, 4.0]
    assert other.memory.nbytes == guest.memory.nbytes
    # Both have the same room that nobody uses.
    assert other.open_window("y", source).address == guest.open_window("y", source).address


def test_a_window_of_another_size_is_not_taken_over(make, source):
    guest = make()
    guest.open_window("x", source)
    shorter = Source(source.fd, 0, 0, PAGE, "U8", (PAGE,), (1,), writable=True)
    with pytest.raises(WindowRefused, match="same size"):
        make().take_layout(guest, {"x": shorter})
