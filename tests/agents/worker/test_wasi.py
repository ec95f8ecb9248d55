"""WASI with nothing in it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from wasmtime.component import EnumType, VariantType

from onecopy.agents.worker import wasi
from onecopy.agents.worker.determined import Clock, Stream
from onecopy.agents.worker.holdings import Holdings
from onecopy.agents.worker.run import Stop
from onecopy.agents.worker.values import Err, Ok

SECOND = 1_000_000_000


class Run:
    """What of a run WASI uses."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.clock = Clock(7 * SECOND + 5)
        self.stream = Stream(b"seed")
        self.holdings = Holdings(lambda *line: self.lines.append(line))

    def stop(self, text: str) -> None:
        raise Stop(text)

    def sleep_until(self, at_ns: int) -> None:
        self.clock.sleep(max(at_ns - self.clock.monotonic_ns, 0))


@pytest.fixture
def run():
    return Run()


def call(run, interface, name, *arguments):
    function = wasi.function(f"wasi:{interface}@0.2.6", name, SimpleNamespace(result=None))
    return function(run, *arguments)


@pytest.mark.parametrize(
    ("interface", "name"),
    [
        ("cli/environment", "get-environment"),
        ("cli/environment", "get-arguments"),
        ("filesystem/preopens", "get-directories"),
    ],
)
def test_there_is_nothing(run, interface, name):
    assert call(run, interface, name) == []


def test_the_clocks_are_those_of_the_run(run):
    assert call(run, "clocks/wall-clock", "now") == {"seconds": 7, "nanoseconds": 5}
    before = call(run, "clocks/monotonic-clock", "now")
    run.clock.sleep(3)
    assert call(run, "clocks/monotonic-clock", "now") == before + 3


def test_randomness_is_that_of_the_run(run):
    expected = Stream(b"seed").take(34)
    assert call(run, "random/random", "get-random-bytes", 10) == expected[:10]
    assert call(run, "random/random", "get-random-u64") == int.from_bytes(expected[10:18], "little")
    seeds = call(run, "random/insecure-seed", "insecure-seed")
    assert seeds == [int.from_bytes(expected[at : at + 8], "little") for at in (18, 26)]
    with pytest.raises(Stop, match="random bytes"):
        call(run, "random/insecure", "get-insecure-random-bytes", 1 << 40)


def test_a_poll_ends_with_the_first_that_is_due(run):
    after = "subscribe-duration"
    pollables = [
        call(run, "clocks/monotonic-clock", after, seconds * SECOND).number for seconds in (5, 1, 1)
    ]
    before = run.clock.now_ns
    assert call(run, "io/poll", "poll", pollables) == [1, 2]
    assert run.clock.now_ns == before + SECOND
    ready = [call(run, "io/poll", "[method]pollable.ready", each) for each in pollables]
    assert ready == [False, True, True]
    call(run, "io/poll", "[method]pollable.block", pollables[0])
    assert run.clock.now_ns == before + 5 * SECOND
    with pytest.raises(Stop, match="polls nothing"):
        call(run, "io/poll", "poll", [])


def test_too_many_pollables_stop_the_guest(run):
    with pytest.raises(Stop, match="too many"):
        while True:
            call(run, "clocks/monotonic-clock", "subscribe-instant", 0)


def test_streams_are_closed_or_go_to_the_log(run):
    assert call(run, "io/streams", "[method]input-stream.read", 0, 10) == Err(("closed", None))
    assert call(run, "io/streams", "[method]output-stream.write", 1, b"text\n") == Ok()
    zeroes = "[method]output-stream.write-zeroes"
    assert call(run, "io/streams", zeroes, 2, 1 << 60) == Ok()
    assert run.lines[0] == ("info", "text")
    assert len(run.lines[1][1]) == 64 << 10


def test_what_has_no_error_stops_the_guest(run):
    with pytest.raises(Stop, match="agents have nothing of it"):
        call(run, "cli/unknown", "anything")
    with pytest.raises(Stop, match=r"exit\(3\)"):
        call(run, "cli/exit", "exit-with-code", 3)


@pytest.mark.parametrize(
    ("names", "kind", "refused"),
    [
        (["access", "unsupported"], EnumType, Err("access")),
        (["unknown", "access-denied"], EnumType, Err("access-denied")),
        (["closed", "not-supported"], VariantType, Err(("not-supported", None))),
    ],
)
def test_what_has_an_error_is_refused(run, monkeypatch, names, kind, refused):
    class Error(kind):
        def __init__(self) -> None:
            """Have no type of wasmtime behind it."""

        def __del__(self) -> None:
            """Free nothing."""

    Error.names = names
    Error.cases = [(name, None) for name in names]
    monkeypatch.setattr(wasi, "ResultType", SimpleNamespace)
    signature = SimpleNamespace(result=SimpleNamespace(err=Error()))
    assert wasi.function("wasi:a/b@0.2.0", "f", signature)(run) == refused
