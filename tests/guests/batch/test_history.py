"""What a sequence was told, so that another worker can tell it again."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from onecopy.errors import InvalidArgument
from onecopy.guests.batch.history import Branch, History, Usage


def test_a_call_tells_what_was_appended_since_the_last_one() -> None:
    history = History([1, 2])
    history.append([3])
    history.append([4, 5])
    assert history.told() == [3, 4, 5]
    assert history.told() == []
    assert history.tokens == [1, 2, 3, 4, 5]
    assert history.calls == [(3, 4, 5), ()]


def test_a_splice_edits_the_text_and_tells_the_guest_of_the_new_tokens() -> None:
    history = History([1])
    history.append([2, 3])
    history.told()
    history.splice(1, [7, 8])
    assert history.tokens == [1, 2, 7, 8]
    assert history.told() == [7, 8]
    assert history.calls == [(2, 3), (7, 8)]


def test_tokens_are_counted_by_who_appended_them_and_once_in_a_family() -> None:
    history = History([1, 2])
    history.append([3, 4, 5])
    history.told()
    history.splice(1, [7, 8])
    history.told()
    history.append([9])
    history.rollback(1)
    assert history.usage == Usage(prompt=2, appended=4, spliced=2, taken_back=2)
    history.lost()
    assert history.usage == Usage(2, 4, 2, 2)
    (branch,) = history.fork(2)
    branch.append([6])
    assert branch.usage == Usage(0, 1, 0, 0)


def test_a_guest_cannot_take_back_more_than_there_is() -> None:
    history = History([1, 2])
    history.append([3])
    with pytest.raises(InvalidArgument, match="takes 4 tokens back"):
        history.splice(4, [9])
    assert history.tokens == [1, 2, 3]
    history.splice(3, [9])
    assert history.tokens == [9]
    assert history.prompt == (1, 2)


def test_a_rollback_forgets_what_the_guest_has_not_heard_before_what_it_has() -> None:
    history = History([])
    history.append([1, 2])
    history.told()
    history.append([3, 4])
    history.rollback(1)
    assert (history.pending, history.take_back) == ([3], 0)
    history.rollback(2)
    assert (history.tokens, history.pending, history.take_back) == ([1], [], 1)
    assert (history.calls, history.again) == ([], [1])
    history.append([9])
    assert history.told() == [9]
    assert history.calls == [(1, 9)]
    assert history.take_back == 0


def test_a_choice_belongs_to_its_call_and_goes_with_it() -> None:
    history = History([])
    history.told(order=1)
    history.chose(7)
    (branch,) = history.fork(2, order=2)
    for each, order in ((history, 3), (branch, 4)):
        each.append([7])
        each.told(order)
        each.chose(order)
    assert history.chosen == {1: 7, 3: 3}
    assert branch.chosen == {1: 7, 4: 4}
    history.rollback(1)
    branch.lost()
    assert history.chosen == branch.chosen == {1: 7}


def test_a_rollback_does_not_reach_beyond_a_splice() -> None:
    history = History([0])
    history.append([1, 2])
    history.told()
    history.splice(1, [5])
    with pytest.raises(InvalidArgument, match="there are 1"):
        history.rollback(2)
    history.rollback(1)
    assert history.tokens == [0, 1]


def test_how_far_a_rollback_takes_the_guest_counts_from_the_furthest_that_it_was_told() -> None:
    history = History([0])
    history.append([1, 2, 3])
    assert history.told_of(3) == 0
    history.told()
    history.append([4])
    assert [history.told_of(count) for count in (0, 1, 2, 4)] == [0, 0, 1, 3]
    history.rollback(3)
    history.append([5])
    history.told()
    (branch,) = history.fork(2)
    assert history.told_of(1) == branch.told_of(1) == 2
    history.splice(1, [6, 7])
    assert [history.told_of(count) for count in (2, 3)] == [0, 3]


def test_branches_share_the_past_and_go_on_alone() -> None:
    history = History([1])
    history.append([2])
    history.told()
    one, two = history.fork(3)
    one.append([5])
    one.told()
    assert history.calls == [(2,), Branch(0, 3)]
    assert one.calls == [(2,), Branch(1, 3), (5,)]
    assert two.calls == [(2,), Branch(2, 3)]
    assert (history.tokens, one.tokens, two.tokens) == ([1, 2], [1, 2, 5], [1, 2])


def test_a_rollback_over_a_fork_stays_on_its_branch() -> None:
    history = History([])
    history.append([1])
    history.told()
    history.append([2, 3])
    history.told()
    history.fork(2)
    history.rollback(2)
    assert history.calls == [(1,), Branch(0, 2)]


def test_a_call_that_was_not_answered_is_pending_again_when_the_guest_is_lost() -> None:
    history = History([])
    history.append([1])
    history.told()
    history.append([2])
    history.lost()
    assert (history.calls, history.pending) == ([], [1, 2])
    history.lost()
    assert (history.calls, history.pending) == ([], [1, 2])


def test_a_call_that_was_rolled_back_before_its_answer_is_not_made_again() -> None:
    history = History([])
    for token in (1, 2):
        history.append([token])
        history.told()
    history.rollback(1)
    history.lost()
    assert (history.calls, history.pending, history.take_back) == ([(1,)], [], 0)


class Told(RuleBasedStateMachine):
    """A guest that does what it is told has the text of the history, whatever happened."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History([0])
        self.heard: list[int] = []
        self.text = [0]
        self.next = 1

    @rule(count=st.integers(0, 3))
    def append(self, count: int) -> None:
        tokens = list(range(self.next, self.next + count))
        self.next += count
        self.history.append(tokens)
        self.text += tokens

    @rule()
    def tell(self) -> None:
        if self.history.take_back:
            del self.heard[-self.history.take_back :]
        self.heard += self.history.told()

    @rule()
    def hear_the_answer(self) -> None:
        self.history.hearing = False

    @rule()
    def lose_the_guest(self) -> None:
        self.history.lost()
        self.heard = [token for call in self.history.calls for token in call]

    @precondition(lambda self: len(self.text) > 1)
    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(0, len(self.text) - 1))
        self.history.rollback(count)
        if count:
            del self.text[-count:]

    @invariant()
    def a_replay_hears_what_the_guest_has_heard(self) -> None:
        assert self.history.tokens == self.text
        replayed = [token for call in self.history.calls for token in call] + self.history.again
        kept = len(self.heard) - self.history.take_back
        assert replayed == self.heard[:kept]
        assert [0, *replayed, *self.history.pending] == self.text


TestTold = Told.TestCase
