"""What a controller's imports do: configuration, tokens, variables and grammars.

Arguments come from the guest: unsigned, unchecked. Each function checks them before it does
anything, and answers an error code for what is wrong; nothing here raises on a guest's account.
"""

from __future__ import annotations

import ctypes
import logging
import time
from array import array
from collections import deque
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidGrammar, LimitReached
from onecopy.guests.decoding.foresight import Foresight
from onecopy.guests.decoding.grammar_engine import KINDS
from onecopy.guests.decoding.variables import MAX_KEY_NBYTES
from onecopy.guests.instance.host import LINE_NBYTES, Host
from onecopy.guests.wasm import abi
from onecopy.native import find

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from onecopy.guests.decoding.grammar import Grammar, Node
    from onecopy.guests.decoding.grammars import Grammars
    from onecopy.guests.wasm.memory import LinearMemory
    from onecopy.guests.wasm.raw import Shortcut

MAX_GRAMMARS: Final = 16
MAX_TEXT_NBYTES: Final = 1 << 20
MAX_TOKENIZED_NBYTES: Final = 1 << 16
"""Of one `tokenize`, which nothing can cut short, and which keeps the interpreter's lock."""
MAX_CONSUMED: Final = 1 << 19
"""Tokens that the grammars of one guest remember by its own `grammar_consume`: 110 bytes each."""
MAX_TOKENS: Final = 1 << 16
_KEPT_LINES: Final = 256

SavedGrammars = tuple[tuple[int, "Grammar", "Node"], ...]
"""Handles, grammars, and where those were."""

Line = tuple[int, str]
"""A line of a guest's log: level as in `logging`, and text."""


class ControllerHost(Host):
    """The host's side of one sequence's controller."""

    def __init__(
        self,
        config: bytes,
        grammars: Grammars,
        variables: MutableMapping[bytes, bytes],
        size: int,
    ) -> None:
        super().__init__(config)
        self.grammars = grammars
        self.variables = variables
        self.size = size
        self.handles: dict[int, Grammar] = {}
        self.tokens: Sequence[int] = ()
        """Those of the call that runs."""
        self.compiling = 0.0
        """Seconds that a grammar may take to compile; 0 outside `init_prompt`."""
        self.logs: deque[Line] = deque(maxlen=_KEPT_LINES)
        self.say = self._keep_line
        self._mask_nbytes = (size + 31) // 32 * 4
        self._base = 0
        self._known = 0
        library = find()
        self._foresight = Foresight(library, self._mask_nbytes) if library else None

    def attach(self, memory: LinearMemory, control_address: int) -> None:
        """Learn where the guest's memory is."""
        super().attach(memory, control_address)
        self._base = memory.base
        self._know(memory.nbytes)

    def _know(self, nbytes: int) -> None:
        self._known = nbytes
        if self._foresight is not None:
            self._foresight.attach(self._base, nbytes)

    def shortcut(self, name: str) -> Shortcut | None:
        """Return what is called in the place of an import, if there is something faster."""
        if name != "grammar_step" or self._foresight is None:
            return None
        return self._foresight.shortcut()

    def foresee(self) -> None:
        """Ask the grammar what this guest will ask it in the call that is about to begin."""
        if self._foresight is not None:
            self._foresight.look(self.handles, self.tokens)

    def settle(self) -> None:
        """After a call: what the guest did not ask its grammar in it, was not asked."""
        if self._foresight is not None:
            self._foresight.settle()

    def _keep_line(self, level: int, text: str) -> None:
        self.logs.append((level, text))

    def last_complaint(self) -> str:
        """Return the end of a sentence that quotes the last warning or error; "" without one.

        Who cannot open a sequence gets an error, and no sequence whose log could be read.
        """
        complaints = [text for level, text in self.logs if level >= logging.WARNING]
        return f", after logging {complaints[-1]!r}" if complaints else ""

    def save_grammars(self) -> SavedGrammars:
        """Return where the grammars are."""
        return tuple([(handle, each, each.node) for handle, each in self.handles.items()])

    def restore_grammars(self, saved: SavedGrammars) -> None:
        """Bring the grammars to where they were, in this guest or the one it branched off."""
        now, self.handles = self.handles, {}
        for handle, grammar, node in saved:
            mine = now.get(handle)
            if mine is None or not mine.is_like(grammar):
                mine = grammar.clone()
            mine.go(node)
            self.handles[handle] = mine

    # -- memory --

    def inside(self, address: int, nbytes: int) -> bool:
        """Return whether bytes lie in the guest's memory, which only grows."""
        if address + nbytes <= self._known:
            return True
        self._know(self.memory.nbytes)
        return address + nbytes <= self._known

    def _words(self, address: int, count: int) -> bool:
        return not address & 3 and self.inside(address, 4 * count)

    def copy_words(self, address: int, count: int) -> array[int] | None:
        """Return a copy of 32-bit words, or None if they are not there or not aligned."""
        if not self._words(address, count):
            return None
        return array("I", ctypes.string_at(self._base + address, 4 * count))

    def _hand_over_tokens(self, tokens: Sequence[int], address: int, room: int) -> int:
        if room > MAX_TOKENS:
            room = MAX_TOKENS
        if not self._words(address, min(room, len(tokens))):
            return abi.RANGE
        self.memory.write(address, array("I", tokens[:room]).tobytes())
        return len(tokens)

    # -- tokens and variables --

    def read_tokens(self, first: int, address: int, room: int) -> int:
        """Copy tokens of this call from `first` on."""
        rest = max(len(self.tokens) - first, 0)
        tokens = self.tokens[first : first + min(room, MAX_TOKENS)]
        done = self._hand_over_tokens(tokens, address, room)
        return rest if done >= 0 else done

    def tokenize(self, address: int, nbytes: int, to: int, room: int) -> int:
        """Turn text into tokens."""
        if nbytes > MAX_TOKENIZED_NBYTES:
            return abi.LIMIT
        if not self.inside(address, nbytes):
            return abi.RANGE
        started = time.perf_counter()
        tokens = self.grammars.tokenize(self.memory.read(address, nbytes))
        if self.compiling:
            # Steps run in another thread, which waited for the lock: let it have as much time.
            time.sleep(time.perf_counter() - started)
        return self._hand_over_tokens(tokens, to, room)

    def var_get(self, key: int, key_nbytes: int, to: int, room: int) -> int:
        """Copy a variable; return its whole length."""
        if key_nbytes > MAX_KEY_NBYTES:
            return abi.LIMIT
        if not self.inside(key, key_nbytes):
            return abi.RANGE
        value = self.variables.get(self.memory.read(key, key_nbytes))
        return abi.MISSING if value is None else self.hand_over(value, to, room)

    def var_set(self, key: int, key_nbytes: int, value: int, nbytes: int) -> int:
        """Set a variable."""
        if not 0 < key_nbytes <= MAX_KEY_NBYTES or nbytes > MAX_TEXT_NBYTES:
            return abi.LIMIT
        if not self.inside(key, key_nbytes) or not self.inside(value, nbytes):
            return abi.RANGE
        name = self.memory.read(key, key_nbytes)
        try:
            self.variables[name] = self.memory.read(value, nbytes)
        except LimitReached:
            return abi.LIMIT
        return abi.OK

    # -- grammars --

    def grammar_new(self, kind: int, address: int, nbytes: int) -> int:
        """Compile a grammar, while the sequence is being opened; return its handle."""
        if not self.compiling:
            return abi.DENIED
        if kind >= len(KINDS):
            return abi.INVALID
        if nbytes > MAX_TEXT_NBYTES or len(self.handles) == MAX_GRAMMARS:
            return abi.LIMIT
        if not self.inside(address, nbytes):
            return abi.RANGE
        return self._compile(KINDS[kind], self.memory.read(address, nbytes))

    def _compile(self, kind: str, text: bytes) -> int:
        try:
            grammar = self.grammars.compile(kind, text.decode(), self.compiling)
        except (InvalidGrammar, UnicodeDecodeError) as error:
            # Engines quote the whole grammar, more than once.
            self.say(logging.ERROR, str(error)[:LINE_NBYTES])
            return abi.INVALID
        handle = next(i for i in range(MAX_GRAMMARS) if i not in self.handles)
        self.handles[handle] = grammar
        return handle

    def _grammar(self, handle: int) -> Grammar | None:
        self.settle()
        return self.handles.get(handle)

    def grammar_free(self, handle: int) -> int:
        """Forget a grammar."""
        self.settle()
        return abi.HANDLE if self.handles.pop(handle, None) is None else abi.OK

    def grammar_mask(self, handle: int, address: int) -> int:
        """Write which tokens may come next."""
        grammar = self._grammar(handle)
        if grammar is None:
            return abi.HANDLE
        if address & 3 or not self.inside(address, self._mask_nbytes):
            return abi.RANGE
        return abi.OK if grammar.mask(self._base + address, self._mask_nbytes) else abi.INVALID

    def grammar_step(self, handle: int, address: int) -> int:
        """Advance by the tokens of this call, and write which may come next: one call for both."""
        grammar = self._grammar(handle)
        if grammar is None:
            return abi.HANDLE
        if self._foresight is not None:
            self._foresight.learn(handle)
        nbytes = self._mask_nbytes
        if address & 3 or (address + nbytes > self._known and not self.inside(address, nbytes)):
            return abi.RANGE
        return abi.OK if grammar.step(self.tokens, self._base + address, nbytes) else abi.INVALID

    def grammar_consume(self, handle: int, address: int, count: int) -> int:
        """Advance by tokens; return how many fitted."""
        grammar = self._grammar(handle)
        if grammar is None:
            return abi.HANDLE
        if count > MAX_TOKENS or count + self._consumed() > MAX_CONSUMED:
            return abi.LIMIT
        tokens = self.copy_words(address, count)
        if tokens is None:
            return abi.RANGE
        if count and max(tokens) >= self.size:
            return abi.INVALID
        return grammar.consume(tokens)

    def _consumed(self) -> int:
        return sum([each.node[2] for each in self.handles.values()])

    def grammar_rollback(self, handle: int, count: int) -> int:
        """Take back tokens."""
        grammar = self._grammar(handle)
        if grammar is None:
            return abi.HANDLE
        return abi.OK if grammar.rollback(count) else abi.INVALID

    def grammar_accepts(self, handle: int) -> int:
        """Say whether the text may end here."""
        grammar = self._grammar(handle)
        return abi.HANDLE if grammar is None else int(grammar.accepts())

    def grammar_forced(self, handle: int, to: int, room: int) -> int:
        """Write tokens that must come next; return how many there are."""
        grammar = self._grammar(handle)
        if grammar is None:
            return abi.HANDLE
        return self._hand_over_tokens(grammar.forced(), to, room)
