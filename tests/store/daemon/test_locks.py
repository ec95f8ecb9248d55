from __future__ import annotations

import pytest

from onecopy.errors import InvalidArgument, LockHeld
from onecopy.store.daemon.locks import Holder, Locks

A, B, C = (Holder(process, 1) for process in "abc")


class Desk:
    """Asks for locks and notes who got them, in order."""

    def __init__(self) -> None:
        self.locks = Locks()
        self.grants: list[tuple[Holder, int]] = []

    def ask(self, holder: Holder, name: str | None = "x", *, shared: bool = False) -> None:
        self.locks.acquire(name, shared, holder, lambda n: self.grants.append((holder, n)))

    @property
    def order(self) -> list[Holder]:
        return [holder for holder, _ in self.grants]

    def give_back(self, index: int) -> None:
        holder, number = self.grants[index]
        self.locks.release(number, holder.process)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_first_gets_it_at_once_and_the_others_in_turn(desk: Desk) -> None:
    for holder in (A, B, C):
        desk.ask(holder)
    assert desk.order == [A]
    desk.give_back(0)
    assert desk.order == [A, B]
    desk.give_back(1)
    assert desk.order == [A, B, C]


def test_readers_go_together_but_not_past_a_waiting_writer(desk: Desk) -> None:
    desk.ask(A, shared=True)
    desk.ask(B, shared=False)
    desk.ask(C, shared=True)
    assert desk.order == [A]
    desk.give_back(0)
    assert desk.order == [A, B]
    desk.give_back(1)
    assert desk.order == [A, B, C]


def test_a_holder_that_asks_again_is_refused(desk: Desk) -> None:
    desk.ask(A)
    with pytest.raises(LockHeld):
        desk.ask(A)
    desk.ask(B)
    with pytest.raises(LockHeld):
        desk.ask(B)


def test_another_thread_of_the_process_is_another_holder(desk: Desk) -> None:
    desk.ask(A)
    desk.ask(Holder("a", 2))
    desk.give_back(0)
    assert desk.order == [A, Holder("a", 2)]


def test_a_withdrawn_writer_lets_the_readers_behind_it_in(desk: Desk) -> None:
    desk.ask(A, shared=True)
    desk.ask(B, shared=False)
    desk.ask(C, shared=True)
    desk.locks.cancel("x", B)
    assert desk.order == [A, C]


def test_the_locks_of_a_dead_process_go_on(desk: Desk) -> None:
    desk.ask(A)
    desk.ask(A, "y")
    desk.ask(B)
    desk.ask(B, "y")
    desk.locks.release_all("a")
    assert desk.order == [A, A, B, B]
    assert desk.locks.holds_any("b")
    assert not desk.locks.holds_any("a")


@pytest.mark.parametrize(("number", "process"), [(1, "b"), (99, "a")])
def test_only_the_holder_can_give_it_back(desk: Desk, number: int, process: str) -> None:
    desk.ask(A)
    with pytest.raises(InvalidArgument):
        desk.locks.release(number, process)


def test_a_grant_cannot_be_given_back_twice(desk: Desk) -> None:
    desk.ask(A)
    desk.give_back(0)
    with pytest.raises(InvalidArgument):
        desk.give_back(0)


def test_a_lock_that_nobody_wants_leaves_nothing_behind(desk: Desk) -> None:
    desk.ask(A)
    desk.give_back(0)
    desk.locks.cancel("x", A)
    assert not desk.locks._locks
    assert not desk.locks._granted
