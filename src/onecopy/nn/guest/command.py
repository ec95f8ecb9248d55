"""Which modules can be run: commands of WASI preview 1, which may import inference.

    module = compile_command("guest.wasm")

Nothing else can be imported, so what a guest can reach is what these two give it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidModule
from onecopy.guests.wasm import abi as windows
from onecopy.guests.wasm.engine import engine
from onecopy.guests.wasm.module import MAGIC, check_types, compile_module, read_wasm
from onecopy.nn.guest import abi, component

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import wasmtime

    from onecopy.guests.wasm.module import Module

START: Final = "_start"
_Signature = tuple[tuple[str, ...], tuple[str, ...]]
_SIGNATURES: Final[dict[str, dict[str, _Signature]]] = {
    abi.MODULE: abi.SIGNATURES,
    windows.MODULE: windows.SIGNATURES,
}
_NOTHING: Final[tuple[tuple[str, ...], tuple[str, ...]]] = ((), ())


def compile_command(source: bytes | os.PathLike[str] | str, cache: Path | None = None) -> Module:
    """Compile a module or a component, as bytes or a file's path, as `compile_module` does.

    Raises:
        InvalidModule: also for a module that is no command, or imports what there is not.
        AccessDenied: the folder of compiled modules belongs to, or is open to, others.
    """
    wasm = read_wasm(source)
    if component.is_component(wasm):
        return compile_module(wasm, cache, component.__name__, component.MAGIC)
    if not wasm.startswith(MAGIC):
        raise InvalidModule(
            "this is no WebAssembly, neither a module nor a component; hand over Wasm, not what "
            "was compiled from it"
        )
    return compile_module(wasm, cache, __name__)


def compiled(wasm: bytes) -> wasmtime.Module:
    """Compile and check a command, in the compiler's process; see `compile_module`."""
    import wasmtime

    module = wasmtime.Module(engine(), wasm)
    check_types(module)
    check(module)
    return module


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
    expected = _SIGNATURES.get(each.module, {}).get(each.name or "")
    if expected is None:
        raise InvalidModule(
            f"the module imports {name}, which this host does not have: there are WASI preview "
            "1, wasi_ephemeral_nn (docs/nn.md lists its functions) and onecopy"
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
