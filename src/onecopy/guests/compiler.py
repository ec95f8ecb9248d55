"""Compiles one module: Wasm from standard input, native code to standard output."""

from __future__ import annotations

import resource
import sys
from typing import Final

_ADDRESS_SPACE: Final = 8 << 30


def main() -> None:
    """Compile within limits; the text of an error goes to standard error."""
    import wasmtime

    from onecopy.errors import InvalidModule
    from onecopy.guests.binary import export_globals
    from onecopy.guests.engine import engine
    from onecopy.guests.module import COMPILE_SECONDS

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (2 * COMPILE_SECONDS, 2 * COMPILE_SECONDS))
    try:
        wasm = export_globals(sys.stdin.buffer.read())
        native = wasmtime.Module(engine(), wasm).serialize()
    except (wasmtime.WasmtimeError, InvalidModule) as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(native)


if __name__ == "__main__":
    main()
