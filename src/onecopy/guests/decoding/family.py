"""What the branches of one sequence have in common, and guests that wait for the next fork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.errors import InvalidModule
from onecopy.guests.decoding.controller_host import ControllerHost
from onecopy.guests.decoding.outcome import Checker
from onecopy.guests.decoding.past import Saved
from onecopy.guests.instance.guest import Instance
from onecopy.guests.instance.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    import wasmtime

    from onecopy.guests.decoding.grammars import Grammars
    from onecopy.guests.decoding.vocabulary import Vocabulary
    from onecopy.guests.wasm.raw import Export
    from onecopy.guests.windows.source import Source


class Member:
    """The guest of one branch, with its windows and all that calls it; made by a `Family`."""

    def __init__(self, instance: Instance, host: ControllerHost, vocabulary: Vocabulary) -> None:
        self.instance = instance
        self.host = host
        self.step = self.life_cycle("mid_process")
        self.checker = Checker(instance, host, vocabulary.size)
        self._snapshots = Snapshots(instance)
        self._sources: dict[str, Source] = {}
        instance.control.set_vocabulary(vocabulary.size, vocabulary.eos)

    def life_cycle(self, name: str) -> Export:
        """Return one of the functions that a controller has, prepared.

        Raises:
            InvalidModule: it is not there, or takes arguments.
        """
        if name not in self.instance.functions():
            raise InvalidModule(
                f"the module has no function {name}, which every controller has: "
                f"`OC_EXPORT int {name}(void)` in C"
            )
        export = self.instance.export(name)
        if export.arity:
            raise InvalidModule(f"{name} takes no arguments, and returns 0 for success")
        return export

    def open_windows(self, windows: Mapping[str, Source]) -> None:
        """Map sources, and note them for branches: their owner keeps them open."""
        self._sources = dict(windows)
        for name, source in windows.items():
            self.instance.open_window(name, source)

    def follow(self, other: Member, windows: Mapping[str, Source]) -> None:
        """Get the windows of another member at the same addresses, some of them replaced."""
        self._sources = {**other._sources, **windows}
        self.instance.take_layout(other.instance, self._sources)

    def perform(self, windows: Mapping[str, Source]) -> None:
        """End a rehearsal: others see from now on what the guest writes to writable windows."""
        if self.instance.windows.rehearsing:
            self._sources.update(windows)
            self.instance.windows.share(self._sources)

    def save(self, last: Saved | None) -> Saved:
        """Return memory, globals and grammars, sharing with `last` what is the same."""
        state = self._snapshots.save(last.state if last else None)
        return Saved(state, self.host.save_grammars())

    def restore(self, saved: Saved) -> None:
        """Go to where this member, or another of its family, was."""
        self._snapshots.restore(saved.state)
        self.host.restore_grammars(saved.grammars)

    def close(self) -> None:
        """Drop the guest and its grammars."""
        self.host.handles.clear()
        self.instance.close()


class Family:
    """Makes the guests of one sequence, some of them ahead: that takes longer than a step."""

    def __init__(
        self,
        module: wasmtime.Module,
        vocabulary: Vocabulary,
        config: bytes,
        grammars: Grammars,
        variables: MutableMapping[bytes, bytes],
        memory_limit: int,
        rehearsing: bool,
    ) -> None:
        self.vocabulary = vocabulary
        self.variables = variables
        self.rehearsing = rehearsing
        """See `Controller.perform`."""
        self._module = module
        self._config = config
        self._grammars = grammars
        self._memory_limit = memory_limit
        self._spare: list[Member] = []
        self._members = 0

    def join(self) -> Member:
        """Return a guest that has not run; `leave` when it is closed."""
        member = self._spare.pop() if self._spare else self._make()
        self._members += 1
        return member

    def leave(self, member: Member) -> None:
        """Close a guest, and those that wait if nobody is left who could want one."""
        member.close()
        self._members -= 1
        if not self._members:
            self.prepare(0)

    def prepare(self, spare: int) -> None:
        """Have this many guests wait."""
        while len(self._spare) < spare:
            self._spare.append(self._make())
        while len(self._spare) > spare:
            self._spare.pop().close()

    def _make(self) -> Member:
        host = ControllerHost(self._config, self._grammars, self.variables, self.vocabulary.size)
        instance = Instance(self._module, host, self._memory_limit)
        instance.windows.rehearsing = self.rehearsing
        try:
            return Member(instance, host, self.vocabulary)
        except BaseException:
            instance.close()
            raise
