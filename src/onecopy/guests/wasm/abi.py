"""The functions that guests may import from `onecopy`; docs/guest-abi.md says what each does.

Their C declarations are in sdk/onecopy.h. What a guest may not do in its place answers `DENIED`, so
that every module of this ABI can be linked everywhere.
"""

from __future__ import annotations

from typing import Final

OK, HANDLE, RANGE, INVALID, LIMIT, MISSING, DENIED = 0, -1, -2, -3, -4, -5, -6
"""What host functions return; errors are negative."""

MODULE: Final = "onecopy"

_I, _L = "i32", "i64"
SIGNATURES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "control": ((), (_I,)),
    "log": ((_I, _I, _I), ()),
    "config": ((_I, _I), (_I,)),
    "read_tokens": ((_I, _I, _I), (_I,)),
    "tokenize": ((_I, _I, _I, _I), (_I,)),
    "var_get": ((_I, _I, _I, _I), (_I,)),
    "var_set": ((_I, _I, _I, _I), (_I,)),
    "grammar_new": ((_I, _I, _I), (_I,)),
    "grammar_free": ((_I,), (_I,)),
    "grammar_mask": ((_I, _I), (_I,)),
    "grammar_step": ((_I, _I), (_I,)),
    "grammar_consume": ((_I, _I, _I), (_I,)),
    "grammar_rollback": ((_I, _I), (_I,)),
    "grammar_accepts": ((_I,), (_I,)),
    "grammar_forced": ((_I, _I, _I), (_I,)),
    "read": ((_I, _L, _I, _I), (_I,)),
    "write": ((_I, _L, _I, _I), (_I,)),
    "stream_size": ((_I,), (_L,)),
    "register_range": ((_I, _I), (_I,)),
    "submit": ((_I, _I), (_I,)),
    "complete": ((_I,), (_I,)),
    "fail": ((_I, _I), ()),
}
