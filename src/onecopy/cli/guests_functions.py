"""What a guest offers to be called, and the numbers of a command line for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    import wasmtime

_HIDDEN: Final = frozenset({"onecopy_abi", "_initialize"})


def signatures(module: wasmtime.Module) -> list[str]:
    """Return the functions that a guest offers, as `name(i32, f32) -> f64`."""
    return [_signature(name, kind) for name, kind in _functions(module).items()]


def _functions(module: wasmtime.Module) -> dict[str, wasmtime.FuncType]:
    import wasmtime

    found = {each.name: each.type for each in module.exports if each.name not in _HIDDEN}
    return {name: kind for name, kind in found.items() if isinstance(kind, wasmtime.FuncType)}


def _signature(name: str, kind: wasmtime.FuncType) -> str:
    params, results = (", ".join(map(str, each)) for each in (kind.params, kind.results))
    return f"{name}({params}) -> {results}" if results else f"{name}({params})"


def numbers(name: str, module: wasmtime.Module, arguments: list[str]) -> list[float]:
    """Turn arguments into what a function takes: integers (0x.. too) or floats.

    Raises:
        InvalidArgument: no such function, another number of arguments, or not a number.
    """
    functions = _functions(module)
    if name not in functions:
        there_are = ", ".join(signatures(module)) or "none (mark them with OC_EXPORT)"
        raise InvalidArgument(f"the guest has no function {name!r}; its functions: {there_are}")
    params = list(map(str, functions[name].params))
    if len(params) != len(arguments):
        raise InvalidArgument(
            f"{_signature(name, functions[name])} takes {len(params)} arguments, and got "
            f"{len(arguments)}"
        )
    return [_number(text, kind) for text, kind in zip(arguments, params, strict=True)]


def _number(text: str, kind: str) -> float:
    try:
        return int(text, 0) if kind.startswith("i") else float(text)
    except ValueError:
        wanted = "an integer" if kind.startswith("i") else "a number"
        raise InvalidArgument(f"{text!r} is not {wanted}, which {kind} needs") from None
