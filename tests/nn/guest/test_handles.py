"""Numbers of graphs and contexts: never reused, never of two kinds, gone with their graph."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from onecopy.nn.guest.handles import CONTEXTS, GRAPHS, Handles
from onecopy.nn.guest.refusals import Refused
from onecopy.nn.standard import Errno


class Thing:
    """What a handle stands for: it knows whether it was closed."""

    what = "tensors"

    def __init__(self):
        self.closed = False

    def close(self):
        assert not self.closed
        self.closed = True


class Machine(RuleBasedStateMachine):
    graphs = Bundle("graphs")
    contexts = Bundle("contexts")
    dead = Bundle("dead")

    def __init__(self):
        super().__init__()
        self.handles = Handles()
        self.live: dict[int, Thing] = {}
        self.of: dict[int, int] = {}
        self.seen: set[int] = set()

    def _new(self, number, thing):
        assert number not in self.seen
        assert 0 < number < 2**32
        self.seen.add(number)
        self.live[number] = thing
        return number

    @rule(target=graphs)
    def load(self):
        thing = Thing()
        return self._new(self.handles.add_graph(thing), thing)

    @rule(target=contexts, graph=graphs)
    def init(self, graph):
        thing = Thing()
        number = self._new(self.handles.add_context(thing, graph), thing)
        self.of[number] = graph
        return number

    @rule(target=dead, graph=consumes(graphs))
    def unload(self, graph):
        gone = {graph, *(each for each, of in self.of.items() if of == graph)}
        assert set(self.handles.remove_graph(graph)) == gone
        for each in gone:
            assert self.live.pop(each).closed
            self.of.pop(each, None)
        return graph

    @rule(number=dead)
    def use_after_unload(self, number):
        self._refused(number)

    def _refused(self, number):
        for use in (self.handles.graph, self.handles.context, self.handles.remove_graph):
            with pytest.raises(Refused) as refused:
                use(number)
            assert refused.value.errno == Errno.INVALID_ARGUMENT

    @invariant()
    def each_number_is_of_its_kind(self):
        for number, thing in self.live.items():
            assert not thing.closed
            if number in self.of:
                assert self.handles.context(number) == (thing, self.live[self.of[number]])
                with pytest.raises(Refused):
                    self.handles.graph(number)
            else:
                assert self.handles.graph(number) is thing
                with pytest.raises(Refused):
                    self.handles.context(number)
        self._refused(0)
        self._refused(len(self.seen) + 1)


TestHandles = Machine.TestCase
TestHandles.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


def test_there_are_so_many_at_a_time():
    handles = Handles()
    first = handles.add_graph(Thing())
    for _ in range(CONTEXTS):
        handles.check_room_for_context()
        handles.add_context(Thing(), first)
    with pytest.raises(Refused, match="contexts"):
        handles.check_room_for_context()
    for _ in range(GRAPHS - 1):
        handles.check_room_for_graph()
        handles.add_graph(Thing())
    with pytest.raises(Refused, match="graphs"):
        handles.check_room_for_graph()
    handles.remove_graph(first)
    handles.check_room_for_graph()
    handles.check_room_for_context()
