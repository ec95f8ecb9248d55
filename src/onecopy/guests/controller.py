"""A controller: a guest that says, step by step, how a sequence may go on.

module = compile_module("veto.wasm").load()
with Controller(module, vocabulary, config=schema) as controller:
    controller.init_prompt(prompt, seconds=5)
    with ticker.running():
        outcome = controller.step([], epochs=20)
    if isinstance(outcome, Mask):
        outcome.write(row.ctypes.data, row.size)
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from onecopy.errors import GuestError, GuestMisbehaved, InvalidArgument, InvalidModule
from onecopy.guests.controller_host import ControllerHost
from onecopy.guests.grammar import Grammars
from onecopy.guests.guest import DEFAULT_MEMORY, Instance
from onecopy.guests.outcome import Checker, Outcome, Splice, Stop
from onecopy.guests.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    import wasmtime

    from onecopy.guests.controller_host import Line
    from onecopy.guests.raw import Export
    from onecopy.guests.source import Source
    from onecopy.guests.vocabulary import Vocabulary


class Controller:
    """One sequence's controller, in this process; not for two threads at once.

    After a `GuestError` it is only good for `close()`.

    Args:
        module: as `Module.load` returns it.
        vocabulary: what the sequence is made of; it outlives the controller.
        config: bytes that the guest may read.
        grammars: shared by the controllers of one vocabulary, so that each compiles once.
        variables: shared by the controllers of one request.
        memory_limit: bytes of the guest's own memory.
        windows: sources by the names under which the guest sees them; "vocab" is there anyway.
    """

    def __init__(
        self,
        module: wasmtime.Module,
        vocabulary: Vocabulary,
        *,
        config: bytes = b"",
        grammars: Grammars | None = None,
        variables: MutableMapping[bytes, bytes] | None = None,
        memory_limit: int = DEFAULT_MEMORY,
        windows: Mapping[str, Source] | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.variables = Variables() if variables is None else variables
        self.seconds = 0.0
        """Time spent in the guest and in what it called."""
        self.tokens = 0
        """How many tokens the sequence has, its prompt included."""
        self.steps = 0
        """How many calls of `mid_process` have returned."""
        self.branch = 0
        """Which branch of its last fork it is."""
        self._failed = False
        grammars = grammars or Grammars(vocabulary)
        self._host = ControllerHost(config, grammars, self.variables, vocabulary.size)
        self.instance = Instance(module, self._host, memory_limit)
        try:
            self._open_windows(windows or {})
            self._mid = self._life_cycle("mid_process")
        except BaseException:
            self.close()
            raise
        self._checker = Checker(self.instance, self._host, vocabulary.size)

    def _open_windows(self, windows: Mapping[str, Source]) -> None:
        self.instance.control.set_vocabulary(self.vocabulary.size, self.vocabulary.eos)
        table = self.vocabulary.window_source()
        try:
            for name, source in {"vocab": table, **windows}.items():
                self.instance.open_window(name, source)
        finally:
            table.close()

    def _life_cycle(self, name: str) -> Export:
        if name not in self.instance.functions():
            raise InvalidModule(
                f"the module has no function {name}, which every controller has: "
                f"`OC_EXPORT int {name}(void)` in C"
            )
        export = self.instance.export(name)
        if export.arity:
            raise InvalidModule(f"{name} takes no arguments, and returns 0 for success")
        return export

    def init_prompt(self, tokens: Sequence[int], seconds: float) -> Outcome | None:
        """Start the guest and give it the prompt, once, before the first step.

        Args:
            tokens: of the prompt.
            seconds: for all of it, grammars that it compiles included.

        Returns:
            None, a `Splice` of the prompt, or `Stop`.
        """
        self._check_tokens(tokens)
        self.instance.start(seconds)
        if "init_prompt" not in self.instance.functions():
            self.tokens = len(tokens)
            return None
        export = self._life_cycle("init_prompt")
        self._begin(tokens)
        self._host.compiling = seconds
        started = time.perf_counter()
        try:
            code = self.instance.invoke(export, seconds=seconds)
        finally:
            self._host.compiling = 0.0
            self.seconds += time.perf_counter() - started
        outcome = self._finish(code, "init_prompt")
        if outcome is not None and not isinstance(outcome, Splice | Stop):
            raise self._misbehaved("init_prompt may splice or stop; the rest is for mid_process")
        return outcome

    def step(self, tokens: Sequence[int], epochs: int) -> Outcome:
        """Give the guest what was appended since its last call; return how to go on.

        `ticker.running()` must be on; `instance.charge()` is the caller's, when there is time.

        Args:
            tokens: may be none: the first time, and after a fork.
            epochs: how many it may take (`engine.ticks`).

        Raises:
            GuestTimeout, GuestTrapped, GuestMemoryExceeded, GuestMisbehaved: it failed.
        """
        self._check_tokens(tokens)
        self._begin(tokens)
        started = time.perf_counter()
        try:
            code = self.instance.run(self._mid, epochs)
        finally:
            self.seconds += time.perf_counter() - started
        self.steps += 1
        outcome = self._finish(code, "mid_process")
        if outcome is None:
            raise self._misbehaved("mid_process returned without a result; oc_allow sets one")
        return outcome

    def _check_tokens(self, tokens: Sequence[int]) -> None:
        if self._failed:
            raise GuestError("this controller failed, and is not called again; open a new one")
        if tokens and not 0 <= min(tokens) <= max(tokens) < self.vocabulary.size:
            raise InvalidArgument(f"a token outside the vocabulary of {self.vocabulary.size}")

    def _begin(self, tokens: Sequence[int]) -> None:
        self._host.tokens = tokens
        self.tokens += len(tokens)
        self.instance.control.begin(self.steps, self.branch, tokens)

    def _finish(self, code: Any, name: str) -> Outcome | None:
        if code:
            raise self._misbehaved(f"{name} returned {code}, and not 0: it says it failed")
        try:
            outcome = self._checker.check(self.instance.control.result(), self.tokens)
        except GuestMisbehaved:
            self._failed = True
            raise
        if isinstance(outcome, Splice):
            self.tokens -= outcome.backtrack
        return outcome

    def _misbehaved(self, text: str) -> GuestMisbehaved:
        self._failed = True
        return GuestMisbehaved(text)

    @property
    def failed(self) -> bool:
        """Whether it is good for nothing but `close()`."""
        return self._failed or self.instance.failed

    @property
    def logs(self) -> list[Line]:
        """What the guest said last: levels as in `logging`, and lines; 256 are kept."""
        return list(self._host.logs)

    def close(self) -> None:
        """Drop the guest; twice is fine."""
        self._host.handles.clear()
        self.instance.close()

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
