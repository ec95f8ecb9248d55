"""The worker's side of guests, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from onecopy import GuestError
from onecopy.errors import InvalidArgument, ProtocolError
from onecopy.guests.wasm.module import compile_module
from onecopy.guests.workers import messages
from onecopy.guests.workers.calls import (
    CloseGuest,
    CloseWindow,
    OpenGuest,
    OpenWindow,
    Prepare,
    Prepared,
    Returned,
    Service,
    result,
)
from onecopy.guests.workers.messages import CALL_KIND, Call, Done, Failed
from onecopy.guests.workers.progress import Progress, new_page
from tests.guests.segment import Segment

GUEST = """
(module
  (import "onecopy" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "hello")
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "half") (param f32) (result f32) (f32.div (local.get 0) (f32.const 2)))
  (func (export "say") (call $log (i32.const 0) (i32.const 0) (i32.const 5)))
  (func (export "nothing"))
  (func (export "trap") unreachable))
"""


class Home:
    """What a service needs of its worker."""

    def __init__(self, wasm: bytes) -> None:
        self.compiled = compile_module(wasm)
        page = new_page()
        self.progress = Progress(page)
        os.close(page)

    def module(self, digest: str) -> Any:
        return self.compiled.load()

    def keep_time(self) -> None:
        pass


@pytest.fixture
def home(wat: Callable[[str], bytes]) -> Iterator[Home]:
    home = Home(wat(GUEST))
    with closing(home.progress):
        yield home


@pytest.fixture
def service(home: Home) -> Service:
    service = Service(home)  # type: ignore[arg-type]
    opening = OpenGuest(1, home.compiled.digest, b"", 1 << 20, 1.0, ())
    assert isinstance(service.handle(opening, []), Returned)
    return service


def request(service: Service, name: str, *numbers: float) -> bytes:
    prepared = service.handle(Prepare(1, name), [])
    assert isinstance(prepared, Prepared)
    cells = messages.arguments(prepared.params).pack(*numbers)
    return Call.REQUEST.pack(CALL_KIND, prepared.function, 1, 1.0) + cells


def test_a_call_is_answered_in_its_own_form(service: Service) -> None:
    answer = service.call(request(service, "add", 2, 3))
    assert Call.ANSWER_INT.unpack(answer)[1::2] == (Call.INTEGER, 5)
    answer = service.call(request(service, "half", 5))
    assert Call.ANSWER_FLOAT.unpack(answer)[1::2] == (Call.FLOAT, 2.5)
    assert Call.ANSWER.unpack(service.call(request(service, "nothing")))[1] == Call.NOTHING


def test_what_a_guest_said_comes_with_the_answer_once(service: Service) -> None:
    decode = messages.Decoder(Returned)
    for _ in range(2):
        answer = decode(service.call(request(service, "say")))
        assert (answer.value, answer.logs) == (None, ((10, "hello"),))


def test_a_function_has_one_number(service: Service) -> None:
    numbers = [service.handle(Prepare(1, name), []) for name in ("add", "half", "add")]
    assert [each.function for each in numbers if isinstance(each, Prepared)] == [0, 1, 0]


def test_one_that_failed_is_ended(service: Service, home: Home) -> None:
    failed = messages.Decoder(Failed)(service.call(request(service, "trap")))
    assert failed.ended
    assert failed.error == "GuestTrapped"
    assert home.progress.read() is None
    with pytest.raises(GuestError):
        service.handle(Prepare(1, "half"), [])


def test_an_error_in_a_host_function_is_a_failure_of_that_guest(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service._residents[1].instance.host.say = lambda _level, _text: 1 / 0  # type: ignore
    failed = messages.Decoder(Failed)(service.call(request(service, "say")))
    assert failed.error == "GuestTrapped"
    assert "ZeroDivisionError" in failed.text
    assert "ZeroDivisionError" in caplog.text


def test_one_that_was_closed_is_not_there(service: Service) -> None:
    call = request(service, "nothing")
    assert service.handle(CloseGuest(1), []) == Done()
    assert service.handle(CloseGuest(1), []) == Done()
    assert messages.Decoder(Failed)(service.call(call)).error == "GuestError"
    with pytest.raises(GuestError, match="closed"):
        service.handle(Prepare(1, "add"), [])


def test_descriptors_are_closed_whatever_comes_of_them(service: Service) -> None:
    with Segment(4096) as segment:
        source = segment.readable.window_source()
        for message in (OpenWindow(1, "w", source.fields()), CloseWindow(1, "w")):
            fd = os.dup(segment.fd)
            assert service.handle(message, [fd]) == Done()
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)
        fd = os.dup(segment.fd)
        with pytest.raises(InvalidArgument, match="no window"):
            service.handle(CloseWindow(1, "w"), [fd])
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        source.close()


@pytest.mark.parametrize("answer", [b"\xc1", b"\xc1\1" + bytes(15), b"\xc1\1" + bytes(40)])
def test_what_is_no_answer_to_a_call_is_refused(answer: bytes) -> None:
    with pytest.raises(ProtocolError):
        result(answer)
