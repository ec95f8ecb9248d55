"""Linear memory: the host's regions, the guest's limit, and addresses that are checked."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from onecopy.errors import InvalidArgument, WindowRefused
from onecopy.guests.instance.guest import Instance
from onecopy.guests.wasm.memory import WASM_PAGE, pages

GROWS = """(module (memory (export "memory") 2)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""


@pytest.fixture
def guest(wat, compiled):
    with Instance(compiled(wat(GROWS)), memory_limit=16 * WASM_PAGE) as guest:
        yield guest


def test_regions_are_whole_pages_of_wasm_and_do_not_count_as_the_guests(guest):
    memory = guest.memory
    own = memory.own_nbytes
    address = memory.reserve(5000)
    assert address % WASM_PAGE == 0
    assert memory.own_nbytes == own == 2 * WASM_PAGE
    assert memory.nbytes == own + memory.reserved


def test_the_guest_grows_to_its_limit_whatever_the_host_has(guest):
    guest.memory.reserve(20 * WASM_PAGE)
    assert guest.call("grow", 14) > 0
    assert guest.memory.own_nbytes == 16 * WASM_PAGE
    assert guest.call("grow", 1) == -1
    assert guest.memory.reserve(WASM_PAGE) > 0
    assert guest.call("grow", 1) == -1


def test_the_memory_never_moves(guest):
    base = guest.memory.base
    guest.memory.reserve(256 << 20)
    guest.call("grow", 1)
    assert guest.memory.base == base == guest.memory.pointer(0, 1)


def test_released_regions_are_used_again_and_join(guest):
    memory = guest.memory
    first, second, third = (memory.reserve(WASM_PAGE) for _ in range(3))
    nbytes = memory.nbytes
    memory.release(first, WASM_PAGE)
    memory.release(third, WASM_PAGE)
    memory.release(second, WASM_PAGE)
    assert (first, 3 * WASM_PAGE) in memory.released()
    assert memory.reserve(3 * WASM_PAGE) == first
    assert memory.nbytes == nbytes


def test_what_does_not_fit_four_gib_is_refused(guest):
    with pytest.raises(WindowRefused, match="ends at 4 GiB"):
        guest.memory.reserve(1 << 32)


def test_a_guest_with_a_maximum_is_refused_windows(wat, compiled):
    text = '(module (memory (export "memory") 1 2))'
    with Instance(compiled(wat(text))) as guest:
        with pytest.raises(WindowRefused, match="without a maximum"):
            guest.memory.reserve(10 * WASM_PAGE)
        # What was tried in vain does not widen the guest's own limit.
        assert guest.memory.own_nbytes == WASM_PAGE


def test_addresses_outside_of_the_memory_are_refused(guest):
    memory = guest.memory
    end = memory.nbytes
    assert memory.read(end - 4, 4) == bytes(4)
    assert memory.read(end, 0) == b""
    for address, nbytes in ((end, 1), (end - 3, 4), (2**32 - 1, 2), (-1, 1), (0, -1), (2**63, 1)):
        for access in (memory.read, memory.view, memory.pointer):
            with pytest.raises(InvalidArgument, match="outside the guest's memory"):
                access(address, nbytes)
    with pytest.raises(InvalidArgument):
        memory.write(end - 1, b"ab")


def test_what_is_written_is_read(guest):
    guest.memory.write(100, b"hello")
    assert guest.memory.read(99, 7) == b"\0hello\0"
    assert bytes(guest.memory.view(100, 5)) == b"hello"


def test_pages_round_up():
    assert [pages(n) for n in (0, 1, 4096, 4097)] == [0, 4096, 4096, 8192]


class Regions(RuleBasedStateMachine):
    """Regions never overlap each other or what was released."""

    module = None

    def __init__(self) -> None:
        super().__init__()
        self.guest = Instance(Regions.module)
        self.memory = self.guest.memory
        self.first = self.memory.nbytes - self.memory.reserved
        self.used: dict[int, int] = {self.guest.control_at: 4096}

    @rule(nbytes=st.integers(1, 5 * WASM_PAGE))
    def reserve(self, nbytes: int) -> None:
        self.used[self.memory.reserve(nbytes)] = nbytes

    @precondition(lambda self: len(self.used) > 1)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        address = data.draw(st.sampled_from(sorted(self.used)[1:]))
        self.memory.release(address, self.used.pop(address))

    @invariant()
    def regions_tile_what_was_reserved(self) -> None:
        regions = [(at, -(-nbytes // WASM_PAGE) * WASM_PAGE) for at, nbytes in self.used.items()]
        at = self.first
        for address, nbytes in sorted([*regions, *self.memory.released()]):
            assert address == at
            at += nbytes
        assert at == self.memory.nbytes

    def teardown(self) -> None:
        self.guest.close()


def test_any_order_of_reserving_and_releasing_is_fine(wat, compiled):
    from hypothesis.stateful import run_state_machine_as_test

    Regions.module = compiled(wat('(module (memory (export "memory") 1))'))
    run_state_machine_as_test(
        Regions, settings=settings(max_examples=30, stateful_step_count=20, deadline=None)
    )
