"""What a controller wants after a step, checked: values that the host can act on as they are.

The descriptor is copied from the control page once, and tokens and biases from the guest's memory
once; checks look at the copies. A mask alone is copied later, straight into its row (`Mask.write`),
and checked there.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.errors import GuestMisbehaved, InvalidArgument
from onecopy.guests.wasm import control

if TYPE_CHECKING:
    from onecopy.guests.decoding.controller_host import ControllerHost
    from onecopy.guests.instance.guest import Instance
    from onecopy.guests.wasm.control import Result

MAX_BRANCHES: Final = 64
MAX_SPLICED: Final = 1 << 16
MAX_BIAS: Final = 10_000.0
"""Logits with a larger one may be infinite once they are f16, or divided by a temperature."""

# PyDLL keeps the interpreter's lock: to give it away for the microsecond of a row costs more.
_libc = ctypes.PyDLL(None)
_memmove = _libc.memmove
_memmove.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
_memmove.restype = None
_memset = _libc.memset
_memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
_memset.restype = None
_memcmp = _libc.memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
_word_at = ctypes.c_uint32.from_address

_ZEROS: Final = ctypes.create_string_buffer(1 << 17)
"""As long as the mask of the largest vocabulary."""
_ZEROS_AT: Final = ctypes.addressof(_ZEROS)


class Mask(NamedTuple):
    """Which tokens may come next; good until the controller is called or closed."""

    instance: Instance
    pointer: int
    """Where the guest's words are in this process; 0 if every token may come."""
    size: int
    """How many tokens there are."""
    bias_tokens: Any = None
    bias_values: Any = None

    def write(self, pointer: int, words: int) -> None:
        """Write the packed row: bit `i % 32` of word `i // 32` is set if token i may come.

        Args:
            pointer: of `words` 32-bit words that only trusted code writes.
            words: at least `(size + 31) // 32`; bits beyond the vocabulary become 0.

        Raises:
            GuestMisbehaved: no token may come; the row is all zeros then.
            InvalidArgument: too few words, or the controller is closed or failed.
        """
        instance, at, size, _, _ = self
        used = (size + 31) >> 5
        if words < used or instance.failed:
            raise InvalidArgument(
                f"a mask of {size} tokens has {used} words, and is read before its controller is "
                f"closed; got {words} words"
            )
        nbytes = used << 2
        # First copied, then checked: the guest may have pointed to memory that others write.
        if at:
            _memmove(pointer, at, nbytes)
        else:
            _memset(pointer, 0xFF, nbytes)
        if size & 31:
            _word_at(pointer + nbytes - 4).value &= (1 << (size & 31)) - 1
        if words > used:
            _memset(pointer + nbytes, 0, (words - used) << 2)
        if not _memcmp(pointer, _ZEROS_AT, nbytes):
            raise GuestMisbehaved(
                "the controller's mask allows no token: it should allow the one that ends the "
                "text, or stop"
            )

    def allows(self, token: int) -> bool:
        """Return whether a token may come."""
        at = self.pointer + (token >> 5 << 2)
        return not self.pointer or bool(_word_at(at).value >> (token & 31) & 1)

    def biases(self) -> tuple[Any, Any]:
        """Return tokens (u32) and what is added to their logits (f32, finite): numpy arrays."""
        import numpy as np

        if self.bias_tokens is None:
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        return self.bias_tokens, self.bias_values


class Splice(NamedTuple):
    """Take back the last `backtrack` tokens, then append `tokens`."""

    backtrack: int
    tokens: tuple[int, ...]


class Fork(NamedTuple):
    """Go on as `branches` sequences, this one included."""

    branches: int


class Stop(NamedTuple):
    """The sequence is done."""


class Choose(NamedTuple):
    """The controller chose the next token itself."""

    token: int


Outcome = Mask | Splice | Fork | Stop | Choose

_STOP: Final = Stop()


class Checker:
    """Turns one controller's results into outcomes."""

    def __init__(self, instance: Instance, host: ControllerHost, size: int) -> None:
        self._instance = instance
        self._host = host
        self._size = size
        self._words = (size + 31) // 32
        self._last: tuple[int, Mask] = (0, Mask(instance, 0, size))

    def check(self, words: tuple[int, ...], length: int) -> Outcome | None:
        """Return what a result asks for; None if nothing.

        Args:
            words: a copy of the descriptor.
            length: how many tokens the sequence has after its prompt.

        Raises:
            GuestMisbehaved: something impossible.
        """
        kind = words[0]
        if kind == control.MASK and not words[3]:
            return self._mask(words[1])
        result = control.Result._make(words)
        if kind == control.MASK:
            return self._biased(result)
        if kind == control.SPLICE:
            return self._splice(result, length)
        if kind == control.CHOOSE:
            return self._choose(result)
        if kind == control.FORK:
            return self._fork(result.branches)
        if kind == control.STOP:
            return _STOP
        if kind == control.NONE:
            return None
        raise GuestMisbehaved(f"the result has kind {kind}; there are 1 (mask) to 5 (choose)")

    def _mask(self, address: int) -> Mask:
        # Guests have their masks in one place, and what was inside their memory stays so.
        known, mask = self._last
        if address != known:
            pointer = self._at(address, self._words, "mask") if address else 0
            mask = Mask(self._instance, pointer, self._size)
            self._last = (address, mask)
        return mask

    def _at(self, address: int, words: int, what: str) -> int:
        if address & 3 or not self._host.inside(address, 4 * words):
            raise GuestMisbehaved(
                f"{what}: {words} words at {address} are not aligned, or outside the guest's memory"
            )
        return self._host.memory.base + address

    def _biased(self, result: Result) -> Mask:
        import numpy as np

        if result.bias_count > self._size:
            raise GuestMisbehaved(
                f"{result.bias_count} biases; a vocabulary of {self._size} has a place for each "
                "token once"
            )
        pointer = self._at(result.biases, 2 * result.bias_count, "biases")
        copied = ctypes.string_at(pointer, 8 * result.bias_count)
        tokens = np.frombuffer(copied, np.uint32)[::2]
        values = np.frombuffer(copied, np.float32)[1::2]
        if tokens.max() >= self._size:
            raise GuestMisbehaved(f"a bias for a token outside the vocabulary of {self._size}")
        if not (np.abs(values) <= MAX_BIAS).all():  # nor is NaN
            raise GuestMisbehaved(
                f"a bias is not finite, or beyond ±{MAX_BIAS:g}: one such row fails the whole batch"
            )
        pointer = self._mask(result.mask).pointer
        return Mask(self._instance, pointer, self._size, tokens, values)

    def _splice(self, result: Result, length: int) -> Splice:
        count, backtrack = result.token_count, result.backtrack
        if backtrack > length or count > MAX_SPLICED or not count + backtrack:
            raise GuestMisbehaved(
                f"splice: takes back {backtrack} of {length} tokens and appends {count}; it takes "
                f"back no more than there are, appends up to {MAX_SPLICED}, and does one or both"
            )
        self._at(result.tokens, count, "splice")
        tokens = self._host.copy_words(result.tokens, count)
        if tokens is None or (count and max(tokens) >= self._size):
            raise GuestMisbehaved(f"splice: a token outside the vocabulary of {self._size}")
        return Splice(backtrack, tuple(tokens))

    def _fork(self, branches: int) -> Fork:
        if not 0 < branches <= MAX_BRANCHES:
            raise GuestMisbehaved(
                f"fork into {branches}; 1 to {MAX_BRANCHES} branches are possible"
            )
        return Fork(branches)

    def _choose(self, result: Result) -> Choose:
        if result.token >= self._size:
            raise GuestMisbehaved(
                f"it chose token {result.token}, outside the vocabulary of {self._size}"
            )
        if not self._mask(result.mask).allows(result.token):
            raise GuestMisbehaved(f"it chose token {result.token}, which its own mask forbids")
        return Choose(result.token)
