"""Compiles and checks one module: Wasm from standard input, native code to standard output.

Its one argument names the rules: see `compile_module`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import sys
from pathlib import Path
from typing import Final

_ADDRESS_SPACE: Final = 8 << 30
_NICE: Final = 10
_MOST_EXPENDABLE: Final = "1000"


def main() -> None:
    """Compile within limits; the text of an error goes to standard error."""
    import wasmtime

    from onecopy.errors import InvalidModule
    from onecopy.guests.wasm.module import COMPILE_SECONDS, MAX_NATIVE_NBYTES

    rules = importlib.import_module(sys.argv[1])
    stand_back()
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (2 * COMPILE_SECONDS, 2 * COMPILE_SECONDS))
    try:
        compiled = rules.compiled(sys.stdin.buffer.read())
    except wasmtime.WasmtimeError as error:
        sys.exit(f"the module does not compile: {error}")
    except InvalidModule as error:
        sys.exit(str(error))
    native = compiled.serialize()
    if len(native) > MAX_NATIVE_NBYTES:
        sys.exit(f"the module has more than {MAX_NATIVE_NBYTES >> 20} MiB of native code; split it")
    sys.stdout.buffer.write(native)


def stand_back() -> None:
    """Let others go first: a hostile module keeps all cores busy, and may want gigabytes.

    If memory runs out, the kernel ends this process before any that matters.
    """
    os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_MOST_EXPENDABLE)


if __name__ == "__main__":
    main()
