"""Any numbers to any host function are answered; nothing outside of the guest is touched."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecopy import guests
from onecopy.errors import GuestError
from onecopy.guests.instance.guest import Instance
from onecopy.guests.instance.host import Host
from onecopy.guests.wasm import abi

ERRORS = {abi.HANDLE, abi.RANGE, abi.INVALID, abi.LIMIT, abi.MISSING, abi.DENIED}
ENDING = {"fail"}


def relay() -> str:
    """A module whose exports hand their arguments to the host function of the same name."""
    imports, exports = [], []
    for name, (params, results) in abi.SIGNATURES.items():
        kind = " ".join(
            [f"(param {' '.join(params)})" if params else "", *(f"(result {r})" for r in results)]
        )
        gets = " ".join(f"(local.get {i})" for i in range(len(params)))
        imports.append(f'(import "onecopy" "{name}" (func ${name} {kind}))')
        exports.append(f'(func (export "{name}") {kind} (call ${name} {gets}))')
    return f'(module {" ".join(imports)} (memory (export "memory") 3) {" ".join(exports)})'


@pytest.fixture
def guest(wat, compiled, store):
    """A guest with two windows, a read-only one and one to write to, and a stream of each kind."""
    store.save("x", torch.full((50_000,), 7, dtype=torch.uint8), align=4096)
    store.save("m", torch.zeros(50_000, dtype=torch.uint8), mutable=True, align=4096)
    with (
        guests.source_of(store.ref("x")) as x,
        guests.source_of(store.ref("m"), "rw") as m,
        Instance(compiled(wat(relay())), Host(b"c" * 5000, [x, m])) as guest,
    ):
        guest.open_window("x", x)
        guest.open_window("m", m)
        yield guest


def numbers(edges: list[int]) -> st.SearchStrategy[int]:
    near = st.builds(int.__add__, st.sampled_from(edges), st.integers(-5000, 5000))
    return st.one_of(near, st.integers(0, 300), st.integers(-(2**31), 2**31 - 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_pointers_to_anywhere_and_across_windows_are_answers(guest, store, data):
    edges = [0, guest.memory.nbytes, 2**32]
    for window in guest.windows:
        edges += [window.address, window.address + window.extent]
    name = data.draw(st.sampled_from([each for each in abi.SIGNATURES if each not in ENDING]))
    params, results = abi.SIGNATURES[name]
    arguments = [data.draw(numbers(edges)) for _ in params]
    answer = guest.call(name, *arguments)
    if results and answer < 0:
        assert answer in ERRORS
    assert (store.load("x") == 7).all()


@pytest.mark.parametrize("name", sorted(abi.SIGNATURES))
def test_every_host_function_refuses_what_is_outside_of_the_memory(guest, name):
    params, results = abi.SIGNATURES[name]
    for number in (-1, -(2**31), 2**31 - 1, guest.memory.nbytes, guest.memory.nbytes - 1):
        if name in ENDING:
            continue
        answer = guest.call(name, *[number] * len(params))
        if params and results and name != "complete":
            assert answer in ERRORS or (name == "config" and answer == 5000)


def test_giving_up_with_a_reason_that_is_nowhere_is_giving_up(guest):
    with pytest.raises(GuestError, match="text outside its memory"):
        guest.call("fail", -1, -1)


def test_what_is_logged_from_nowhere_is_said_to_be(guest):
    said = []
    guest.host.say = lambda level, text: said.append(text)
    guest.call("log", 1, -1, 5)
    guest.call("log", 1, guest.memory.nbytes - 2, 5)
    guest.call("log", 1, 0, 2**31 - 1)
    assert said[:2] == ["(text outside its memory)"] * 2
    assert len(said[2]) == 1000
