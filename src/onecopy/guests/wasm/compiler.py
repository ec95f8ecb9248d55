"""Compiles and checks one module: Wasm from standard input, native code to standard output."""

from __future__ import annotations

import resource
import sys
from typing import Final

_ADDRESS_SPACE: Final = 8 << 30


def main() -> None:
    """Compile within limits; the text of an error goes to standard error."""
    import wasmtime

    from onecopy.errors import InvalidModule
    from onecopy.guests.wasm.binary import export_globals
    from onecopy.guests.wasm.engine import engine
    from onecopy.guests.wasm.module import COMPILE_SECONDS, check, check_types

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (2 * COMPILE_SECONDS, 2 * COMPILE_SECONDS))
    try:
        module = wasmtime.Module(engine(), export_globals(sys.stdin.buffer.read()))
        check_types(module)
        check(module)
    except wasmtime.WasmtimeError as error:
        sys.exit(f"the module does not compile: {error}")
    except InvalidModule as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(module.serialize())


if __name__ == "__main__":
    main()
