"""The sequences of a batch, and its free rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy import LimitReached
from onecopy.guests.batch.history import History
from onecopy.guests.batch.roster import Roster
from onecopy.guests.batch.sequence import Origin, Sequence


def add(roster: Roster, request: str = "", root: int = 0) -> Sequence:
    origin = Origin(SimpleNamespace(digest="a"), b"", request, 1, 1)  # type: ignore[arg-type]
    owner: Any = SimpleNamespace(batch=SimpleNamespace(board=SimpleNamespace(line=lambda row: row)))
    return roster.add(owner, origin, History([], root), "stop")


def station(*, lost: bool = False) -> Any:
    return SimpleNamespace(lost=lost)


@given(st.lists(st.integers(0, 4), max_size=60))
def test_rows_are_given_once_and_the_lowest_first(choices: list[int]) -> None:
    roster, sat, numbers = Roster(3), {}, []
    for choice in choices:
        if choice < 3 and choice in sat:
            assert roster.remove(sat[choice])
            assert not roster.remove(sat.pop(choice))
            roster.give_back(choice)
        elif len(sat) == 3:
            with pytest.raises(LimitReached, match="3 rows"):
                add(roster)
        else:
            sequence = add(roster)
            assert sequence.row == min({0, 1, 2} - set(sat))
            sat[sequence.row] = sequence
            numbers.append(sequence.number)
        assert roster.free == 3 - len(sat)
        assert set(roster) == set(sat.values())
    assert numbers == list(range(1, len(numbers) + 1))


def test_those_of_a_worker_are_found() -> None:
    roster, here = Roster(3), station()
    one, _, three = (add(roster) for _ in range(3))
    one.station = three.station = here
    assert roster.of(here) == [one, three]


def test_branches_are_counted_by_what_they_come_from() -> None:
    roster = Roster(4)
    for root in (7, 7, 8):
        add(roster, root=root)
    assert (roster.branches(7), roster.branches(8), roster.branches(9)) == (2, 1, 0)


def test_a_request_is_where_its_sequences_live_unless_that_worker_is_lost() -> None:
    roster = Roster(4)
    lost, well, other = (add(roster, request) for request in ("one", "one", ""))
    other.station = station()
    assert roster.station_of("one") is None
    lost.station = station(lost=True)
    assert roster.station_of("one") is None
    well.station = station()
    assert roster.station_of("one") is well.station
    assert roster.station_of("") is None


def test_a_place_is_left_to_one_in_the_same_worker_that_has_none() -> None:
    roster, here = Roster(4), station()
    going, placed, heir, elsewhere = (add(roster) for _ in range(4))
    going.station = placed.station = heir.station = here
    elsewhere.station = station()
    placed.placed = object()  # type: ignore[assignment]
    roster.remove(going)
    assert roster.heir(going) is heir
    roster.remove(heir)
    assert roster.heir(going) is None
