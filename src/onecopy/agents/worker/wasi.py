"""WASI 0.2 with nothing in it: no files, arguments, variables of the environment, no network.

There is a clock and randomness (`determined`), and what is written to the standard output or error
goes to the run's log. All the rest is refused, with the error of its interface if that has one.
wasmtime's own WASI is not used: it has true time and randomness, and sleeps that nothing ends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wasmtime.component import EnumType, ResultType, VariantType

from onecopy.agents.worker.values import Err, Handle, Ok

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmtime.component import FuncType

    from onecopy.agents.worker.run import Run

    Function = Callable[..., Any]

_ROOM: Final = 64 << 10
"""Bytes that a stream takes in one write."""
_MOST_RANDOM: Final = 1 << 20
_CLOSED: Final = Err(("closed", None))
_REFUSALS: Final = ("access-denied", "not-permitted", "access", "not-supported", "unsupported")
STDIN, STDOUT, STDERR = range(3)


class Resource(NamedTuple):
    """A resource of an interface, and by which number this host knows it."""

    name: str
    kind: int


_RESOURCES: Final[dict[str, tuple[str, ...]]] = {
    "io/error": ("error",),
    "io/poll": ("pollable",),
    "io/streams": ("input-stream", "output-stream"),
    "cli/terminal-input": ("terminal-input",),
    "cli/terminal-output": ("terminal-output",),
    "filesystem/types": ("descriptor", "directory-entry-stream"),
    "sockets/network": ("network",),
    "sockets/udp": ("udp-socket", "incoming-datagram-stream", "outgoing-datagram-stream"),
    "sockets/tcp": ("tcp-socket",),
    "sockets/ip-name-lookup": ("resolve-address-stream",),
}
_KINDS: Final = {
    name: at for at, name in enumerate(each for names in _RESOURCES.values() for each in names)
}


def resources(interface: str) -> list[Resource]:
    """Return the resources that an interface declares."""
    return [Resource(each, _KINDS[each]) for each in _RESOURCES.get(_short(interface), ())]


def _short(interface: str) -> str:
    return re.sub(r"^wasi:|@.*$", "", interface)


def function(interface: str, name: str, signature: FuncType) -> Function:
    """Return the function of an interface."""
    known = _FUNCTIONS.get(f"{_short(interface)}.{name}")
    return known or _refusing(f"{interface}.{name}", signature.result)


def _refusing(label: str, result: Any) -> Function:
    kind = result.err if isinstance(result, ResultType) else None
    names: list[str] = []
    if isinstance(kind, EnumType):
        names = kind.names
    elif isinstance(kind, VariantType):
        names = [name for name, payload in kind.cases if payload is None]
    code = next((each for each in _REFUSALS if each in names), None)
    if code is None:
        return lambda run, *_: run.stop(f"the agent called {label}; agents have nothing of it")
    refused = Err(code if isinstance(kind, EnumType) else (code, None))
    return lambda *_: refused


def _handle(name: str, number: int) -> Function:
    made = Handle(_KINDS[name], number)
    return lambda *_: made


def _pollable(run: Run, at_ns: int) -> Handle:
    number = run.holdings.new_pollable(at_ns)
    if number is None:
        run.stop("the agent waits for too many things at once")
    return Handle(_KINDS["pollable"], number)


def _wall(run: Run) -> dict[str, int]:
    seconds, nanoseconds = divmod(run.clock.now_ns, 1_000_000_000)
    return {"seconds": seconds, "nanoseconds": nanoseconds}


def _random(run: Run, nbytes: int) -> bytes:
    if nbytes > _MOST_RANDOM:
        run.stop(f"the agent asked for {nbytes} random bytes; {_MOST_RANDOM} are given at once")
    return run.stream.take(nbytes)


def _random_number(run: Run) -> int:
    return int.from_bytes(run.stream.take(8), "little")


def _poll(run: Run, pollables: list[int]) -> list[int]:
    times = [run.holdings.due(each) for each in pollables]
    if not times:
        run.stop("the agent polls nothing")
    run.sleep_until(min(times))
    now = run.clock.monotonic_ns
    return [at for at, due in enumerate(times) if due <= now]


def _write(run: Run, stream: int, data: Any) -> Ok:
    run.holdings.written(stream, bytes(data))
    return Ok()


def _zeroes(run: Run, stream: int, count: int) -> Ok:
    return _write(run, stream, bytes(min(count, _ROOM)))


def _constant(value: Any) -> Function:
    return lambda *_: value


def _exit(run: Run, status: Any) -> None:
    run.stop(f"the agent called exit ({'0' if isinstance(status, Ok) else 'with an error'})")


_FUNCTIONS: Final[dict[str, Function]] = {
    "cli/environment.get-environment": _constant([]),
    "cli/environment.get-arguments": _constant([]),
    "cli/environment.initial-cwd": _constant(None),
    "cli/exit.exit": _exit,
    "cli/exit.exit-with-code": lambda run, code: run.stop(f"the agent called exit({code})"),
    "cli/stdin.get-stdin": _handle("input-stream", STDIN),
    "cli/stdout.get-stdout": _handle("output-stream", STDOUT),
    "cli/stderr.get-stderr": _handle("output-stream", STDERR),
    "cli/terminal-stdin.get-terminal-stdin": _constant(None),
    "cli/terminal-stdout.get-terminal-stdout": _constant(None),
    "cli/terminal-stderr.get-terminal-stderr": _constant(None),
    "clocks/monotonic-clock.now": lambda run: run.clock.monotonic_ns,
    "clocks/monotonic-clock.resolution": _constant(1),
    "clocks/monotonic-clock.subscribe-instant": _pollable,
    "clocks/monotonic-clock.subscribe-duration": lambda run, duration: _pollable(
        run, run.clock.monotonic_ns + duration
    ),
    "clocks/wall-clock.now": _wall,
    "clocks/wall-clock.resolution": _constant({"seconds": 0, "nanoseconds": 1}),
    "filesystem/preopens.get-directories": _constant([]),
    "filesystem/types.filesystem-error-code": _constant(None),
    "io/error.[method]error.to-debug-string": _constant(""),
    "io/poll.poll": _poll,
    "io/poll.[method]pollable.ready": lambda run, each: (
        run.holdings.due(each) <= run.clock.monotonic_ns
    ),
    "io/poll.[method]pollable.block": lambda run, each: run.sleep_until(run.holdings.due(each)),
    "io/streams.[method]input-stream.read": _constant(_CLOSED),
    "io/streams.[method]input-stream.blocking-read": _constant(_CLOSED),
    "io/streams.[method]input-stream.skip": _constant(_CLOSED),
    "io/streams.[method]input-stream.blocking-skip": _constant(_CLOSED),
    "io/streams.[method]input-stream.subscribe": lambda run, _: _pollable(run, 0),
    "io/streams.[method]output-stream.check-write": _constant(Ok(_ROOM)),
    "io/streams.[method]output-stream.write": _write,
    "io/streams.[method]output-stream.blocking-write-and-flush": _write,
    "io/streams.[method]output-stream.flush": _constant(Ok()),
    "io/streams.[method]output-stream.blocking-flush": _constant(Ok()),
    "io/streams.[method]output-stream.subscribe": lambda run, _: _pollable(run, 0),
    "io/streams.[method]output-stream.write-zeroes": _zeroes,
    "io/streams.[method]output-stream.blocking-write-zeroes-and-flush": _zeroes,
    "io/streams.[method]output-stream.splice": _constant(_CLOSED),
    "io/streams.[method]output-stream.blocking-splice": _constant(_CLOSED),
    "sockets/instance-network.instance-network": _handle("network", 0),
    "random/random.get-random-bytes": _random,
    "random/random.get-random-u64": _random_number,
    "random/insecure.get-insecure-random-bytes": _random,
    "random/insecure.get-insecure-random-u64": _random_number,
    "random/insecure-seed.insecure-seed": lambda run: [_random_number(run), _random_number(run)],
}
