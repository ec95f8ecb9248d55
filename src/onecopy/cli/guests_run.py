"""`guest run`: one call of a guest, with entries of stores as its windows."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from onecopy.cli.arguments import duration, size
from onecopy.cli.output import complain, hint, printable, stderr, stdout
from onecopy.errors import BuildFailed, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import wasmtime

    from onecopy.guests.wasm.module import Module
    from onecopy.guests.windows.source import Access
    from onecopy.store.ref import Ref

_HIDDEN: Final = frozenset({"onecopy_abi", "_initialize"})
_WINDOW: Final = re.compile(r"([^=]+)=([^/=]+)/(.+?)(?::(rw|r))?", re.DOTALL)


class WindowArgument(NamedTuple):
    """What `--window name=STORE/ENTRY[:rw]` says."""

    name: str
    store: str
    entry: str
    access: Access


def parse_window(text: str) -> WindowArgument:
    """Read the value of `--window`; the entry's name may hold anything but a final `:r` or `:rw`.

    Raises:
        InvalidArgument: it has another form.
    """
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise InvalidArgument(
            f"{text!r} is no window; write NAME=STORE/ENTRY or NAME=STORE/ENTRY:rw"
        )
    name, store, entry, access = match.groups()
    return WindowArgument(name, store, entry, "rw" if access == "rw" else "r")


def load_module(path: Path) -> Module:
    """Compile a guest for this machine; one in C or C++ is built first."""
    from onecopy.guests.toolchain import LANGUAGES
    from onecopy.guests.wasm.module import compile_module

    return compile_module(build_source(path) if path.suffix in LANGUAGES else path)


def build_source(path: Path, out: Path | None = None, flags: Sequence[str] = ()) -> bytes:
    """Build a guest; the compiler's message keeps its lines."""
    from onecopy.guests.toolchain import build

    try:
        return build(path, out, flags)
    except BuildFailed as error:
        first, *rest = str(error).splitlines()
        complain(first)
        for line in rest:
            stderr().print(printable(line))
        raise typer.Exit(1) from None


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


def config_bytes(file: Path | None, text: str) -> bytes:
    """Return what `--config` or `--config-text` says."""
    return text.encode() if file is None else file.read_bytes()


Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="What the guest gets by oc_config."),
]
ConfigText = Annotated[
    str, typer.Option(metavar="TEXT", help="The same, as a text instead of a file.")
]
MemoryLimit = Annotated[
    int,
    typer.Option(parser=size, metavar="SIZE", help="How much memory of its own it may use."),
]
WindowArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--window",
        "-w",
        metavar="NAME=STORE/ENTRY[:rw]",
        help="Show an entry to the guest; rw (mutable entries only): it may write to it.",
    ),
]


def run(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A guest: .wasm, or .c to build.", show_default=False),
    ],
    function: Annotated[
        str, typer.Argument(metavar="FUNCTION", help="What to call.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="Numbers.")
    ] = None,
    window: WindowArguments = None,
    config: Config = None,
    config_text: ConfigText = "",
    seconds: Annotated[
        float, typer.Option(parser=duration, metavar="DURATION", help="How long it may take.")
    ] = 10.0,
    memory: MemoryLimit = 64 << 20,
) -> None:
    """Call a function of a guest, and print what it returns; what it logs goes to stderr.

    It runs in a process of its own, which can do nothing else.
    """
    from onecopy.guests.workers.handle import Guest
    from onecopy.guests.workers.pool import Pool

    module = load_module(file)
    called = numbers(function, module.load(), arguments or [])
    with ExitStack() as stack:
        pool = stack.enter_context(Pool(start_ms=seconds * 1000))
        windows = refs_of(window or [], stack)
        options: dict[str, Any] = {
            "config": config_bytes(config, config_text),
            "memory_limit": memory,
        }
        guest = stack.enter_context(Guest(module, windows, pool=pool, **options))
        try:
            result = guest.call(function, *called, timeout=seconds)
        finally:
            for _level, text in guest.logs:
                hint(printable(text))
    if result is not None:
        stdout().print(str(result))


def refs_of(windows: Iterable[str], stack: ExitStack) -> dict[str, tuple[Ref, Access]]:
    """Return what the values of `--window` name; their stores are closed with the stack."""
    from onecopy.cli.stores import open_store

    refs = {}
    for each in map(parse_window, windows):
        store = stack.enter_context(open_store(each.store))
        refs[each.name] = (store.ref(each.entry), each.access)
    return refs
