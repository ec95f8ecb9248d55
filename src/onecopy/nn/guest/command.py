"""Which modules can be run: commands of WASI preview 1, which may import inference.

    module = compile_command("guest.wasm")

Nothing else can be imported, so what a guest can reach is what these two give it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidModule
from onecopy.guests.wasm.module import compile_module
from onecopy.nn.guest import abi

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import wasmtime

    from onecopy.guests.wasm.module import Module

START: Final = "_start"
_NOTHING: Final[tuple[tuple[str, ...], tuple[str, ...]]] = ((), ())


def compile_command(source: bytes | os.PathLike[str] | str, cache: Path | None = None) -> Module:
    """Compile Wasm bytes, or the file at a path, as `compile_module` does.

    Raises:
        InvalidModule: also for a module that is no command, or imports what there is not.
        AccessDenied: the folder of compiled modules belongs to, or is open to, others.
    """
    return compile_module(source, cache, rules=__name__)


def prepare(wasm: bytes) -> bytes:
    """Return what is compiled: the module as it is."""
    return wasm


def check(module: wasmtime.Module) -> None:
    """Raise `InvalidModule` unless a module is a command that this host can run."""
    for each in module.imports:
        _check_import(each)
    memories = [each.name for each in module.exports if _kind(each.type) == "MemoryType"]
    if memories != ["memory"]:
        raise InvalidModule(
            "a command exports exactly one memory, under the name `memory`; this one exports "
            f"{', '.join(map(repr, memories)) or 'none'}"
        )
    starts = [each for each in module.exports if each.name == START]
    if not starts or _signature(starts[0]) != _NOTHING:
        raise InvalidModule(
            "the module is no command of WASI: it exports no function `_start`; give it a `main` "
            "and build it as a program, not as a library"
        )


def _check_import(each: wasmtime.ImportType) -> None:
    name = f"{each.module}.{each.name}"
    if each.module == abi.WASI and _kind(each.type) == "FuncType":
        return  # wasmtime knows its own, and refuses others when it links them
    expected = abi.SIGNATURES.get(each.name or "") if each.module == abi.MODULE else None
    if expected is None:
        raise InvalidModule(
            f"the module imports {name}, which this host does not have: there are WASI preview 1 "
            "and wasi_ephemeral_nn (docs/nn.md lists its functions)"
        )
    if _signature(each) != expected:
        raise InvalidModule(f"the module imports {name} as {_signature(each)}; it is {expected}")


def _kind(type_: object) -> str:
    return type(type_).__name__


def _signature(
    each: wasmtime.ImportType | wasmtime.ExportType,
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    if _kind(each.type) != "FuncType":
        return None
    kind = each.type
    return tuple(map(str, kind.params)), tuple(map(str, kind.results))  # type: ignore[union-attr]
