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

from onecopy.errors import GuestError, GuestMisbehaved, InvalidArgument
from onecopy.guests.decoding.family import Family
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.outcome import Outcome, Splice, Stop
from onecopy.guests.decoding.past import Call, Past, Saved
from onecopy.guests.decoding.variables import Variables
from onecopy.guests.instance.guest import DEFAULT_MEMORY

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    import wasmtime

    from onecopy.guests.decoding.controller_host import Line
    from onecopy.guests.decoding.vocabulary import Vocabulary
    from onecopy.guests.wasm.raw import Export
    from onecopy.guests.windows.source import Source


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
            The caller keeps them open until the controller and its branches are closed.
        rehearse: whether to keep what it writes to writable windows from others, until `perform`.
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
        rehearse: bool = False,
    ) -> None:
        if variables is None:
            variables = Variables()
        grammars = grammars or Grammars(vocabulary)
        family = Family(module, vocabulary, config, grammars, variables, memory_limit, rehearse)
        self._assemble(family, Past(memory_limit))
        try:
            self._member.open_windows({"vocab": vocabulary.table, **(windows or {})})
        except BaseException:
            self.close()
            raise

    def _assemble(self, family: Family, past: Past) -> None:
        self.vocabulary = family.vocabulary
        self.variables = family.variables
        self.seconds = 0.0
        """Time spent in the guest and in what it called."""
        self.tokens = 0
        """How many tokens the sequence has, its prompt included."""
        self.steps = 0
        """How many calls of `mid_process` have returned."""
        self.branch = 0
        """Which branch of its last fork it is."""
        self.pending: tuple[int, ...] = ()
        """Tokens that a rollback left to be told, before those of the next step."""
        self._prompt = 0
        self._size = self.vocabulary.size
        self._failed = False
        self._closed = False
        self._past = past
        self._saved: Saved | None = None
        self._family = family
        self._member = member = family.join()
        self._host = member.host
        self.instance = member.instance

    def init_prompt(self, tokens: Sequence[int], seconds: float) -> Outcome | None:
        """Start the guest and give it the prompt, once, before the first step.

        Args:
            tokens: of the prompt.
            seconds: for all of it, grammars that it compiles included.

        Returns:
            None, a `Splice` that appends to the prompt, or `Stop`.
        """
        self._check(tokens)
        self.instance.start(seconds)
        self.tokens = self._prompt = len(tokens)
        self._saved = None
        if "init_prompt" not in self.instance.functions():
            return None
        export = self._member.life_cycle("init_prompt")
        self._host.tokens = tokens
        self.instance.control.begin(self.steps, self.branch, tokens)
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

        `ticker.running()` must be on; call `settle()` between steps, when there is time.

        Args:
            tokens: may be none: the first time, and after a fork. After a `Splice` they are its
                tokens.
            epochs: how many it may take (`engine.ticks`).

        Raises:
            GuestTimeout, GuestTrapped, GuestMemoryExceeded, GuestMisbehaved: it failed.
        """
        return self.call(self.prepare(tokens), epochs)

    def call(self, told: Sequence[int], epochs: int) -> Outcome:
        """Make the call that `prepare` was for; see `step`."""
        self.instance.control.begin(self.steps, self.branch, told)
        started = time.perf_counter()
        try:
            code = self.instance.run(self._member.step, epochs)
        finally:
            self.seconds += time.perf_counter() - started
        return self._conclude(code)

    def prepare(self, tokens: Sequence[int], *, ahead: bool = False) -> Sequence[int]:
        """Do what comes before a call of `step`; return all that the guest is to be told in it.

        For those who `call` later, or make the call themselves, as native/turns.c does; in that
        case `called` or `ended` comes after it. With `ahead`, grammars are asked now what this
        guest will ask them if it does as last time.
        """
        self._check(tokens)
        if self.pending:
            tokens = (*self.pending, *tokens)
            self.tokens -= len(self.pending)
            self.pending = ()
        if self._saved is None and self._past.reach:
            self._saved = self._save()
        self.tokens += len(tokens)
        self._host.tokens = tokens
        if ahead:
            self._host.foresee()
        return tokens

    def called(self, seconds: float) -> None:
        """Note a call that `prepare` was for, whose result was a mask and is dealt with."""
        self._host.settle()
        self.seconds += seconds
        self._remember()

    def ended(self, error: int | None) -> Outcome:
        """Return the outcome of a call that `prepare` was for, as `step` does.

        Args:
            error: what wasmtime's function returned.
        """
        self._host.settle()
        return self._conclude(self.instance.ended(self.mid_process, error))

    @property
    def mid_process(self) -> Export:
        """What is called in a step."""
        return self._member.step

    def _conclude(self, code: Any) -> Outcome:
        self._remember()
        outcome = self._finish(code, "mid_process")
        if outcome is None:
            raise self._misbehaved("mid_process returned without a result; oc_allow sets one")
        return outcome

    def perform(self, windows: Mapping[str, Source]) -> None:
        """End the rehearsal of a guest that is told again what another one was told.

        What it wrote to writable windows until now is dropped: the other one wrote it already.

        Args:
            windows: to be in the place of those with these names from now on; see `fork`.
        """
        self._family.rehearsing = False
        self._member.perform(windows)

    def settle(self, spare: int = 0) -> None:
        """Do what a step need not wait for: call it between steps, when there is time.

        What the guest wrote to read-only windows is dropped, its state is saved if rollback may
        want it, and `spare` instances wait for forks.

        Raises:
            GuestMemoryExceeded: it wrote more to read-only windows than it has memory left.
        """
        self.instance.charge()
        self._family.prepare(spare)
        if self._past.reach and self._saved is None:
            self._saved = self._save()

    def keep(self, tokens: int) -> None:
        """From now on, keep what it takes to roll back up to `tokens` tokens; 0 to begin with.

        No more than `memory_limit` bytes of it: beyond them, only the last step can be taken back.
        """
        self._past.reach = tokens
        if not tokens:
            self._past.clear()
            self._saved = None

    def rollback(self, tokens: int) -> None:
        """Go back to before the last `tokens` tokens: memory, globals and grammars.

        If the guest was told of some of them together with some that stay, those that stay are
        `pending`: the next step tells them again. Shared variables and writable windows stay as
        they are, and so does what a guest took back itself by a splice.

        Raises:
            InvalidArgument: more than `keep` provides for, or more than follow the prompt.
        """
        self._check_alive()
        if not 0 <= tokens <= self.tokens - self._prompt:
            raise InvalidArgument(
                f"a rollback of {tokens} tokens: {self.tokens - self._prompt} follow the prompt"
            )
        position = self.tokens - tokens
        told = self.tokens - len(self.pending)
        if position >= told:
            self.pending = self.pending[: position - told]
        else:
            call = self._past.back(position)
            self._restore(call.saved)
            self.steps = call.steps
            self.pending = call.tokens[: position - call.position]
        self.tokens = position

    def fork(self, branches: int, windows: Sequence[Mapping[str, Source]] = ()) -> list[Controller]:
        """Go on as several: return this controller, which is branch 0, and `branches - 1` new ones.

        Args:
            branches: how many there are then, this one included.
            windows: for each new branch, sources in the place of this one's, by name: of the same
                size, and kept open like these. Other windows show the same.
        """
        self._check_alive()
        saved = self._saved or self._save()
        others: list[Controller] = []
        try:
            for number in range(1, branches):
                replaced = windows[number - 1] if windows else {}
                others.append(self._branch_off(number, saved, replaced))
        except BaseException:
            for each in others:
                each.close()
            raise
        self.branch = 0
        return [self, *others]

    def _branch_off(self, number: int, saved: Saved, windows: Mapping[str, Source]) -> Controller:
        other = object.__new__(Controller)
        other._assemble(self._family, self._past.copy())
        try:
            other._member.follow(self._member, windows)
            other._restore(saved)
        except BaseException:
            other.close()
            raise
        other.branch = number
        other.tokens, other.steps, other.pending = self.tokens, self.steps, self.pending
        other._prompt = self._prompt
        return other

    def _remember(self) -> None:
        """Count a call that returned, and note what there was before it."""
        saved, self._saved = self._saved, None
        if saved is not None and self._past.reach:
            told = tuple(self._host.tokens)
            self._past.add(Call(self.tokens - len(told), told, self.steps, saved))
        self.steps += 1

    def _save(self) -> Saved:
        return self._member.save(self._past.last())

    def _restore(self, saved: Saved) -> None:
        self._member.restore(saved)
        self._saved = saved

    def _check_alive(self) -> None:
        if self.failed:
            raise GuestError("this controller failed, and is not called again; open a new one")

    def _check(self, tokens: Sequence[int]) -> None:
        if self._failed:
            self._check_alive()
        if self.instance.dead is not None:
            self.instance.check_alive()
        size = self._size
        if len(tokens) == 1:
            fits = 0 <= tokens[0] < size
        else:
            fits = not tokens or 0 <= min(tokens) <= max(tokens) < size
        if not fits:
            raise InvalidArgument(f"a token outside the vocabulary of {size}")

    def _finish(self, code: Any, name: str) -> Outcome | None:
        if code:
            raise self._misbehaved(
                f"{name} returned {code}, and not 0: it says it failed{self._host.last_complaint()}"
            )
        try:
            outcome = self._member.checker.check(
                self.instance.control.words(), self.tokens - self._prompt
            )
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
        if self._closed:
            return
        self._closed = True
        self._past.clear()
        self._family.leave(self._member)

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
