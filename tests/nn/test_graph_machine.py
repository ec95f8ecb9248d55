"""A state machine: contexts of models compute right, whoever kills their processes, and when."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from onecopy import nn
from onecopy.errors import InferenceFailed, ModelNotFound
from onecopy.nn.service.running import running
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_for, wait_until_ended


class Contexts(RuleBasedStateMachine):
    """What each context was given last, beside what it gives back."""

    contexts = Bundle("contexts")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="ocn-")
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv("ONECOPY_RUNTIME_DIR", f"{self._folder.name}/run")
        self._path = Path(self._folder.name, "m")
        self._given: dict[nn.Context, bytes] = {}

    @initialize()
    def load(self) -> None:
        write(self._path, "affine", batch=4)
        model = nn.Model(what=str(self._path), backend=BACKEND)
        self._host = nn.Host({"m": model}, idle_seconds=0)
        self._graphs = [self._host.load("m")]

    @rule()
    def load_again(self) -> None:
        if len(self._graphs) < 3:
            self._graphs.append(self._host.load("m"))

    @rule(target=contexts, which=st.integers(0, 2), data=st.binary(min_size=1, max_size=9))
    def open(self, which: int, data: bytes) -> nn.Context:
        context = self._graphs[which % len(self._graphs)].context()
        self._set(context, data)
        return context

    def _set(self, context: nn.Context, data: bytes) -> None:
        context.set_input(0, "u8", (1, len(data)), data)
        self._given[context] = data

    @rule(
        context=contexts, data=st.one_of(st.binary(min_size=1, max_size=9), st.just(b"x" * 99999))
    )
    def set_input(self, context: nn.Context, data: bytes) -> None:
        self._set(context, data)

    @rule(context=contexts)
    def compute(self, context: nn.Context) -> None:
        """It is right, whoever was killed before."""
        context.compute()
        expected = bytes(2 * each % 256 for each in self._given[context])
        assert bytes(context.output(0)) == expected

    @rule(context=contexts)
    def fail(self, context: nn.Context) -> None:
        """A request that fails leaves the process, and the inputs of others, as they were."""
        before = self._given[context]
        context.set_input(0, "f32", (1,), b"\x00\x00\xc0\x7f")
        with pytest.raises(InferenceFailed):
            context.compute()
        self._set(context, before)

    @rule(context=consumes(contexts))
    def close(self, context: nn.Context) -> None:
        context.close()
        del self._given[context]

    @rule(how=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    def kill(self, how: signal.Signals) -> None:
        for pid in self._pids():
            os.kill(pid, how)
            wait_for(pid)

    @rule(context=contexts)
    def remove_and_restore_the_file(self, context: nn.Context) -> None:
        """Without its file a model that runs goes on; one that does not is not found."""
        away = self._path.rename(self._path.with_suffix(".away"))
        runs = self._pids()
        try:
            context.compute()
        except ModelNotFound:
            assert not runs
        away.rename(self._path)

    def _pids(self) -> list[int]:
        return [each.pid for each in running()]

    @invariant()
    def there_is_one_process_at_most(self) -> None:
        assert len(self._pids()) <= 1

    def teardown(self) -> None:
        if hasattr(self, "_host"):
            for context in self._given:
                context.close()
            for graph in self._graphs:
                graph.close()
            wait_until_ended()
        self._patch.undo()
        self._folder.cleanup()


TestContexts = Contexts.TestCase
# Examples are not made smaller: each starts processes, and would be tried hundreds of times.
TestContexts.settings = settings(
    max_examples=8, stateful_step_count=15, deadline=None, phases=[Phase.reuse, Phase.generate]
)
