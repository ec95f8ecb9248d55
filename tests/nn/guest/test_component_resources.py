"""What components hold of the host: numbers, limits, and letting go."""

from __future__ import annotations

import pytest

from onecopy.errors import GuestMemoryExceeded
from onecopy.nn.guest import component_resources
from onecopy.nn.guest.component_resources import Resources
from onecopy.nn.guest.component_running import Tensor


class Somewhere:
    """What resources are defined in."""

    def add_resource(self, name, kind, dropped) -> None:
        self.dropped = dropped


@pytest.fixture
def held():
    resources, somewhere = Resources(room=100), Somewhere()
    for name in ("tensor", "error"):
        resources.define(somewhere, name)
    return resources, somewhere.dropped


def tensor(nbytes: int) -> Tensor:
    return Tensor([nbytes], "U8", bytes(nbytes))


def test_handles_have_kinds_and_numbers(held) -> None:
    resources, _ = held
    first, second = resources.hand_out("tensor", tensor(1)), resources.hand_out("error", object())
    assert (first.type, second.type) == (0, 1)
    assert first.rep != second.rep
    assert first.owned
    assert len(resources) == 2


def test_numbers_of_what_was_dropped_are_used_again(held) -> None:
    resources, dropped = held
    numbers = [resources.hand_out("tensor", tensor(1)).rep for _ in range(3)]
    dropped(None, numbers[1])
    assert resources.hand_out("tensor", tensor(1)).rep == numbers[1]
    assert resources.hand_out("tensor", tensor(1)).rep not in numbers


def test_the_bytes_of_all_tensors_are_limited(held) -> None:
    resources, dropped = held
    resources.hand_out("tensor", tensor(60))
    last = resources.hand_out("tensor", tensor(40)).rep
    with pytest.raises(GuestMemoryExceeded):
        resources.hand_out("tensor", tensor(1))
    dropped(None, last)
    resources.hand_out("tensor", tensor(40))


def test_so_is_their_number(held, monkeypatch) -> None:
    monkeypatch.setattr(component_resources, "MOST", 3)
    resources, _ = held
    for _ in range(3):
        resources.hand_out("error", object())
    with pytest.raises(GuestMemoryExceeded, match="3 resources"):
        resources.hand_out("error", object())


def test_closing_lets_go_of_everything_and_twice_is_fine(held) -> None:
    resources, _ = held
    for _ in range(3):
        resources.hand_out("tensor", tensor(30))
    resources.close()
    resources.close()
    assert len(resources) == 0
    resources.hand_out("tensor", tensor(100))
