"""Steps, rollbacks and forks in any order: each controller is as one that was told it all anew."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, precondition, rule

from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.outcome import Splice
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm.engine import ticker
from onecopy.guests.wasm.module import compile_module
from tests.guests.tokenizers_of import byte_level

EPOCHS = 2000
REACH = 6
PROMPT = (5, 6, 7)

# What it answers depends on all that it was told, in which portions; its state is spread over many
# pages, one of them shared by all steps, the stack, and a grammar that may get stuck.
GUEST = """
#include "onecopy.h"
static uint32_t hash = 17, counts[80000], mask[OC_MASK_WORDS(1000)];
static int grammar;
static uint32_t mix(uint32_t value) {
    hash = (hash ^ value) * 2654435761u;
    hash ^= hash >> 15;
    return ++counts[hash % 80000];
}
OC_EXPORT int init_prompt(void) {
    grammar = oc_grammar_new(OC_REGEX, "([a-m]+,)*", 10);
    for (uint32_t i = 0; i < oc_control()->token_count; i++) mix(oc_control()->tokens[i]);
    return grammar < 0;
}
OC_EXPORT int mid_process(void) {
    struct oc_control *control = oc_control();
    uint32_t seen = mix(control->step + 1000 * control->branch);
    for (uint32_t i = 0; i < control->token_count; i++) {
        if (oc_grammar_consume(grammar, &control->tokens[i], 1) != 1) seen += 7;
        seen += mix(control->tokens[i]);
    }
    oc_grammar_mask(grammar, mask);
    for (uint32_t i = 0; i < OC_MASK_WORDS(1000); i++) seen ^= mask[i] * (i + 1);
    mix(seen);
    if (hash % 16 == 3) {
        static uint32_t spliced[2];
        spliced[0] = 300, spliced[1] = hash % 1000;
        return oc_splice(control->token_count > 0, spliced, 2);
    }
    return oc_choose(hash % 1000);
}
"""


class Follower:
    """A controller, and all that it takes to bring a new one to the same place."""

    def __init__(self, controller: Controller, told: list) -> None:
        self.controller = controller
        self.told = told  # calls: position, tokens; forks: the branch
        self.length = 0
        self.pending: list[int] = []
        self.spliced: list[int] = []
        self.reach = 0

    def step(self, tokens: list[int]):
        tokens = [*self.spliced, *tokens]
        outcome = self.controller.step(tokens, EPOCHS)
        position = self.length - len(self.pending)
        self.told.append((position, (*self.pending, *tokens)))
        self.length += len(tokens)
        self.reach = min(REACH, self.reach + len(tokens))
        self.pending, self.spliced = [], []
        if isinstance(outcome, Splice):
            self.length -= outcome.backtrack
            self.reach = max(0, self.reach - outcome.backtrack)
            self.spliced = list(outcome.tokens)
        return outcome

    def rollback(self, count: int) -> None:
        self.controller.rollback(count)
        position = self.length - count
        self.length, self.reach, self.spliced = position, self.reach - count, []
        if position >= position + count - len(self.pending):
            self.pending = self.pending[: len(self.pending) - count]
            return
        branches = []
        while True:
            last = self.told.pop()
            if isinstance(last, int):
                branches.insert(0, last)
            elif last[0] <= position:
                break
        self.pending = list(last[1][: position - last[0]])
        self.told += branches


class Sequences(RuleBasedStateMachine):
    running = Bundle("running")
    module = vocabulary = grammars = None

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Controller] = []

    def begin(self) -> Controller:
        controller = Controller(self.module, self.vocabulary, grammars=self.grammars)
        self.open.append(controller)
        controller.init_prompt(PROMPT, seconds=5)
        return controller

    @rule(target=running)
    def start(self):
        controller = self.begin()
        controller.keep(REACH)
        return Follower(controller, [])

    @rule(follower=running, tokens=st.lists(st.integers(60, 90), max_size=3))
    def step(self, follower, tokens):
        outcome = follower.step(tokens)
        again = self.begin()
        for each in follower.told:
            if isinstance(each, int):
                again.branch = each
            else:
                expected = again.step(each[1], EPOCHS)
        again.close()
        assert outcome == expected
        assert follower.controller.tokens == len(PROMPT) + follower.length

    @rule(follower=running, data=st.data())
    def rollback(self, follower, data):
        follower.rollback(data.draw(st.integers(0, follower.reach)))
        assert follower.controller.tokens == len(PROMPT) + follower.length

    @rule(follower=running)
    def settle(self, follower):
        follower.controller.settle(spare=1)

    @rule(target=running, follower=running)
    @precondition(lambda self: len(self.open) < 40)
    def fork(self, follower):
        _, controller = follower.controller.fork(2)
        self.open.append(controller)
        other = Follower(controller, [*follower.told, 1])
        other.length, other.reach = follower.length, follower.reach
        other.pending, other.spliced = list(follower.pending), list(follower.spliced)
        follower.told.append(0)
        return other

    @rule(follower=consumes(running))
    def close(self, follower):
        follower.controller.close()

    def teardown(self):
        for each in self.open:
            each.close()


@pytest.fixture(scope="module", autouse=True)
def guest(build, tmp_path_factory):
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary, ticker.running():
        folder = tmp_path_factory.mktemp("modules")
        Sequences.module = compile_module(build(GUEST), cache=folder / "cache").load()
        Sequences.vocabulary = vocabulary
        Sequences.grammars = Grammars(vocabulary)
        yield


Sequences.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestSequences = Sequences.TestCase
