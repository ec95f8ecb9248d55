"""A guest where it lives: its functions, what it said, how it ends."""

from __future__ import annotations

import os

import pytest

from onecopy.errors import GuestTrapped, InvalidArgument
from onecopy.guests.windows.source import Source
from onecopy.guests.workers.resident import Resident

DIGEST = "ab" * 32
TALKER = """
(module
  (import "onecopy" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "said")
  (func (export "say") (call $log (i32.const 1) (i32.const 16) (i32.const 4)))
  (func (export "chatter") (local $n i32)
    (loop
      (call $log (i32.const 1) (i32.const 0) (i32.const 1000))
      (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100)))))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "trap") unreachable))
"""


def memory() -> Source:
    fd = os.memfd_create("stream", os.MFD_CLOEXEC)
    os.ftruncate(fd, 4096)
    return Source(fd, 0, 0, 4096, "U8", (4096,), (1,))


@pytest.fixture
def resident(wat, compiled):
    resident = Resident(DIGEST, compiled(wat(TALKER)), 1 << 20, 1.0)
    yield resident
    resident.close()


def test_a_function_keeps_its_number(resident: Resident) -> None:
    first, export = resident.prepare("add")
    second, _ = resident.prepare("say")
    assert first != second
    assert resident.prepare("add") == (first, export)
    assert resident.functions[first][0] is export
    with pytest.raises(InvalidArgument, match="no function"):
        resident.prepare("absent")


def test_what_it_said_is_told_once(resident: Resident) -> None:
    resident.instance.call("say")
    resident.instance.call("say")
    assert [text for _, text in resident.logs()] == ["said", "said"]
    assert resident.logs() == ()


def test_of_chatter_only_so_much_is_kept_and_that_is_said(resident: Resident) -> None:
    for _ in range(2):
        resident.instance.call("chatter")
        *texts, last = [text for _, text in resident.logs()]
        assert 0 < len(texts) < 100
        assert last == "(more than is kept of one call)"


def test_a_guest_that_failed_for_good_leaves_at_once(resident: Resident) -> None:
    resident.instance.call("say")
    with pytest.raises(GuestTrapped) as raised:
        resident.instance.call("trap")
    failed = resident.failed(raised.value, 0.5)
    assert (failed.error, failed.seconds, failed.ended) == ("GuestTrapped", 0.5, True)
    assert [text for _, text in failed.logs] == ["said"]
    assert isinstance(failed.to_error(), GuestTrapped)


def test_a_mistake_of_the_caller_ends_nothing(resident: Resident) -> None:
    failed = resident.failed(InvalidArgument("no such window"), 0.0)
    assert (failed.error, failed.ended) == ("InvalidArgument", False)
    resident.instance.call("say")


def test_what_a_host_function_got_wrong_is_an_error_of_the_guest(resident: Resident) -> None:
    failed = resident.failed(ZeroDivisionError("in the host"), 0.0)
    assert failed.error == "GuestTrapped"
    assert "ZeroDivisionError" in failed.text


def test_its_streams_are_closed_with_it(wat, compiled) -> None:
    streams = [memory(), memory()]
    resident = Resident(DIGEST, compiled(wat(TALKER)), 1 << 20, 1.0, streams=streams)
    resident.close()
    resident.close()
    assert [each.fd for each in streams] == [-1, -1]


def test_its_streams_are_closed_too_if_it_cannot_be_made(wat, compiled) -> None:
    streams = [memory()]
    module = compiled(wat('(module (memory (export "memory") 1) (func $f unreachable) (start $f))'))
    with pytest.raises(GuestTrapped):
        Resident(DIGEST, module, 1 << 20, 1.0, streams=streams)
    assert streams[0].fd == -1
