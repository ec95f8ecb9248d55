"""What the branches of one sequence have in common, and instances that wait for the next fork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.guests.controller_host import ControllerHost
from onecopy.guests.guest import Instance

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    import wasmtime

    from onecopy.guests.grammar import Grammars
    from onecopy.guests.vocabulary import Vocabulary


class Family:
    """Makes instances, some of them ahead: making one takes longer than a step."""

    def __init__(
        self,
        module: wasmtime.Module,
        vocabulary: Vocabulary,
        config: bytes,
        grammars: Grammars,
        variables: MutableMapping[bytes, bytes],
        memory_limit: int,
    ) -> None:
        self.vocabulary = vocabulary
        self.variables = variables
        self._module = module
        self._config = config
        self._grammars = grammars
        self._memory_limit = memory_limit
        self._spare: list[Instance] = []
        self._members = 0

    def join(self) -> Instance:
        """Return an instance that has not run; `leave` when it is closed."""
        instance = self._spare.pop() if self._spare else self._make()
        self._members += 1
        return instance

    def leave(self) -> None:
        """Drop the instances that wait, if nobody is left who could want one."""
        self._members -= 1
        if not self._members:
            self.prepare(0)

    def prepare(self, spare: int) -> None:
        """Have this many instances wait."""
        while len(self._spare) < spare:
            self._spare.append(self._make())
        while len(self._spare) > spare:
            self._spare.pop().close()

    def _make(self) -> Instance:
        host = ControllerHost(self._config, self._grammars, self.variables, self.vocabulary.size)
        return Instance(self._module, host, self._memory_limit)
