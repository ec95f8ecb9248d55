"""Variables of a request stay within their limit, whatever is set and removed."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from onecopy import InvalidArgument, LimitReached
from onecopy.guests.decoding.variables import MAX_KEY_NBYTES, Variables

LIMIT = 400
KEYS = st.binary(min_size=1, max_size=3)


class Sets(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.variables = Variables(LIMIT)
        self.model: dict[bytes, bytes] = {}

    def cost(self, model: dict[bytes, bytes]) -> int:
        return sum(len(key) + len(value) + 64 for key, value in model.items())

    @rule(key=KEYS, value=st.binary(max_size=200))
    def set(self, key, value):
        changed = {**self.model, key: value}
        if self.cost(changed) > LIMIT:
            with pytest.raises(LimitReached, match="limit_nbytes"):
                self.variables[key] = value
        else:
            self.variables[key] = value
            self.model = changed

    @rule(key=KEYS)
    def remove(self, key):
        assert self.variables.pop(key, None) == self.model.pop(key, None)

    @invariant()
    def is_alike(self):
        assert dict(self.variables) == self.model
        assert (self.variables.nbytes, len(self.variables)) == (
            self.cost(self.model),
            len(self.model),
        )


TestSets = Sets.TestCase


@pytest.mark.parametrize("key", [b"", b"k" * (MAX_KEY_NBYTES + 1)])
def test_a_name_that_is_empty_or_too_long_is_refused(key):
    with pytest.raises(InvalidArgument, match="256"):
        Variables()[key] = b""
